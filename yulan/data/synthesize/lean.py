"""One step of a Lean proof as a file that Lean accepts only if the tactic leads from the one state to the other.

Where no Lean is installed nothing is claimed: the verdict is `unchecked`. The program runs in the sandbox; LEAN_PATH, as
`lake env` sets it, is passed on, and its folders can be read.
"""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from yulan.data import sandbox
from yulan.data.sandbox import Limits

LIMITS = Limits(cpu=60, wall=120.0, memory=8 << 30, processes=64, disk=64 << 20)
SOLVED = "no goals"
HIDDEN = re.compile(r"✝|:=|\bsorry\b|\bsorryAx\b")
"""Names that cannot be written, let-values, and what Lean takes for any proof."""


def program(before: str, tactic: str, after: str, imports: str = "") -> str | None:
    """The file; None: the states are not such as can be written down again.

    `after` may hold several goals, one a paragraph, or `no goals`.
    """
    claim = statement(before)
    goals = [] if after.strip() == SOLVED else [goal(part) for part in re.split(r"\n\s*\n", after.strip())]
    if claim is None or None in goals or not tactic.strip() or HIDDEN.search(tactic):
        return None
    lines = [f"import {name}" for name in imports.split()]
    lines += [f"example {claim} := by", *(f"  {line}" for line in tactic.strip("\n").splitlines())]
    lines += [line for each in goals for line in (f"  · show {each}", "    sorry")]
    return "\n".join(lines) + "\n"


def statement(state: str) -> str | None:
    """`n : Nat\\nh : 0 < n\\n⊢ 1 ≤ n` as `(n : Nat) (h : 0 < n) : 1 ≤ n`."""
    if re.search(r"\n\s*\n", state.strip()) or HIDDEN.search(state):
        return None
    told = goal(state)
    binders: list[str] = []
    for line in re.sub(r"\n[ \t]+", " ", state.strip()).splitlines():
        if line.startswith("⊢"):
            break
        if not line.startswith("case "):
            binders.append(f"({line.strip()})" if " : " in line else "")
    return None if told is None or "" in binders else " ".join([*binders, f": {told}"])


def goal(state: str) -> str | None:
    """What is to be shown, on one line."""
    _, mark, rest = state.partition("⊢")
    told = " ".join(rest.split())
    return told if mark and told and not HIDDEN.search(told) else None


def alike(one: str, other: str) -> bool:
    """Equal but for spaces and the names of cases."""
    return _bare(one) == _bare(other)


def _bare(state: str) -> list[str]:
    return " ".join(line for line in state.splitlines() if not line.startswith("case ")).split()


@cache
def installed() -> Path | None:
    """The toolchain's folder, asked of `lean` on the PATH: the name itself may be elan's stand-in."""
    found = shutil.which("lean")
    if found is None or sandbox.why_not() is not None:
        return None
    try:
        told = subprocess.run([found, "--print-prefix"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(told) if (Path(told) / "bin" / "lean").is_file() else None


def verdict(before: str, tactic: str, after: str, imports: str) -> str:
    """`accepted`, `wrong` or `unchecked`: no Lean, or a state that cannot be written down again."""
    prefix, text = installed(), program(before, tactic, after, imports)
    if prefix is None or text is None:
        return "unchecked"
    packages = [Path(each) for each in os.environ.get("LEAN_PATH", "").split(os.pathsep) if Path(each).is_dir() and each]
    environment = {"LEAN_PATH": os.pathsep.join(map(str, packages))} if packages else {}
    found = sandbox.run(
        [str(prefix / "bin" / "lean"), "step.lean"], {"step.lean": text}, LIMITS, [prefix, *packages], environment
    )
    return "accepted" if found.passed else "time" if found.ended == "time" else "wrong"
