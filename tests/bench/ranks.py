"""Benches that run on several ranks: started by torchrun, their lead rank tells the lines."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.pairs import Aim, Line

ROOT = Path(__file__).resolve().parents[2]
ANSWER = "YULAN_BENCH_ANSWER"


def command(module: str, ranks: int, *arguments: str) -> list[str]:
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}", "--module", module]
    return [sys.executable, "-m", "torch.distributed.run", *options, *arguments]


def environment(**more: str) -> dict[str, str]:
    """One thread a rank."""
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return os.environ | own | more


def lines_of(module: str, ranks: int, *arguments: str) -> list[Line]:
    """Run a module whose lead rank calls `tell`."""
    with tempfile.TemporaryDirectory() as name:
        answer = Path(name) / "lines.json"
        own = environment(**{ANSWER: str(answer)})
        done = subprocess.run(command(module, ranks, *arguments), env=own, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        told = json.loads(answer.read_text())
    return [Line(**line | {"aim": Aim(**line["aim"]) if line["aim"] else None}) for line in told]


def tell(lines: Sequence[Line]) -> None:
    Path(os.environ[ANSWER]).write_text(json.dumps([asdict(line) for line in lines]))
