"""The class of processor that numeric kernels choose their code by, read without importing them."""

import os
import platform
from functools import cache
from pathlib import Path

LEVELS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"},
    "avx2": {"avx2", "fma"},
}
"""torch's levels on x86-64, best first, and the flags that each asks for."""


@cache
def isa() -> str:
    """`x86_64 avx512 AuthenticAMD`: architecture, vector level, maker (MKL has other kernels for other makers).

    A level that ATEN_CPU_CAPABILITY asks for counts, since torch then uses that one.
    """
    machine, about = platform.machine(), _about()
    flags = set(about.get("flags", "").split())
    found = next((level for level, wanted in LEVELS.items() if wanted <= flags), "default")
    level = os.environ.get("ATEN_CPU_CAPABILITY", found) if machine == "x86_64" else "default"
    return " ".join(part for part in (machine, level, about.get("vendor_id", "")) if part)


def _about() -> dict[str, str]:
    """Fields of the first processor; none where the system does not list them."""
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
