"""A clean clone with a small recipe, for tests that walk the whole road."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(sys.prefix)


@dataclass(frozen=True, kw_only=True)
class Clone:
    root: Path
    home: Path

    def run(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone with an empty home; on failure show what it printed."""
        done = subprocess.run(words, cwd=self.root, env=self.environment(**env), capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)} exited {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    def environment(self, **env: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k in {"PATH", "TMPDIR", "LANG"}}
        return kept | {"HOME": str(self.home), "GIT_CONFIG_GLOBAL": os.devnull} | env

    def yulan(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(".venv/bin/python", "-m", "yulan.cli", *words, check=check, **env)

    def dvc(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(".venv/bin/dvc", *words, check=check)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid", "commit", "-q", "-m", message)


def make_clone(folder: Path, source: Path = HERE) -> Clone:
    """Clone HEAD of `source` into `folder`; share the environment and the verified downloads, nothing else."""
    home = folder.with_name(folder.name + "-home")
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(source), str(folder)], check=True)
    (folder / ".venv").symlink_to(ENVIRONMENT)
    if (HERE / ".cache" / "downloads").is_dir():
        (folder / ".cache").mkdir(exist_ok=True)
        (folder / ".cache" / "downloads").symlink_to(HERE / ".cache" / "downloads")
    return Clone(root=folder, home=home)


def write_tiny(root: Path) -> None:
    """Derive the recipe `tiny` from nano: two sources, no synthesis, 8 to 16 steps a phase, the same fork."""
    nano = root / "recipes" / "nano"
    tiny = root / "recipes" / "tiny"
    shutil.copytree(nano, tiny)
    recipe = yaml.safe_load((nano / "recipe.yaml").read_text())
    recipe["name"] = "tiny"
    recipe["model"] |= {
        "vocab_size": 1024,
        "hidden_size": 64,
        "layers": 2,
        "heads": 2,
        "kv_heads": 1,
        "ffn_size": 128,
        "base_width": 32,
    }
    recipe["data"]["tokenizer"]["vocab_size"] = 1024
    recipe["data"]["tokenizer"]["learn"]["sample_bytes"] = 1_000_000
    recipe["data"]["synthesize"]["families"] = {}
    recipe["data"]["score"] |= {"topics": {}, "quality": {}}
    recipe["schedule"]["warmup"] = 4
    for name, steps in {"phase-01": 16, "phase-02": 8, "phase-03": 8, "phase-03-short": 8}.items():
        phase = recipe["phases"][name]
        phase |= {"batch": 4, "context": 256 if name == "phase-03" else 64, "checkpoints": {"every": 4, "keep": 2}}
        phase["tokens"] = steps * phase["batch"] * phase["context"]
        if phase["anneal"]:
            phase["anneal"] = {"start": 24, "length": 8, "hold": None}
    recipe["release"]["text"] = ["en/wiki"]
    recipe["evaluate"] |= {"held_out_tokens": 1024}
    for task in recipe["evaluate"]["tasks"].values():
        task["limit"] = 8
    (tiny / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    sources = yaml.safe_load((nano / "sources.yaml").read_text())
    sources["sources"] = {k: v for k, v in sources["sources"].items() if k in {"en/wiki", "code/networkx"}}
    (tiny / "sources.yaml").write_text(yaml.safe_dump(sources, sort_keys=False, allow_unicode=True))
    for mix in (tiny / "mixes").iterdir():
        parts = "  en/wiki: {weight: 6, repeats: 0}\n  code/networkx: {weight: 4, repeats: 0}\n"
        mix.write_text(f"total: 10\nsources:\n{parts}intent: null\nfiles: null\n")


def make_built(folder: Path) -> Clone:
    """A clone in which `dvc repro` has built the tiny recipe."""
    clone = make_clone(folder)
    write_tiny(clone.root)
    clone.commit("Add the tiny recipe")
    (clone.root / "dvc.lock").unlink(missing_ok=True)
    clone.commit("Start without a lock") if clone.run("git", "status", "--porcelain").stdout else None
    clone.yulan("use", "tiny", "--profile", "cpu-2")
    clone.commit("Use the tiny recipe")
    clone.dvc("repro")
    clone.commit("Build the tiny recipe")
    return clone


@contextmanager
def hub(clone: Clone, folder: Path) -> Iterator[tuple[str, str]]:
    """A rehearsal hub served by the clone's own command: (address, token)."""
    served = subprocess.Popen(
        [".venv/bin/python", "-m", "yulan.cli", "hub", "serve", "--root", str(folder), "--port", "0"],
        cwd=clone.root, env=clone.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = served.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.split()[-1], (folder / "token").read_text().strip()
    finally:
        served.terminate()
        served.wait()
