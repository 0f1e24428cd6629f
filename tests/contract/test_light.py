"""What only reads recipes and manifests starts without the heavy libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from yulan import files
from yulan.manifest import FORMAT, Manifest, survey, write

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch",
    "transformers",
    "deepspeed",
    "mlflow",
    "daft",
    "datasets",
    "altair",
    "lm_eval",
    "huggingface_hub",
    "pyarrow",
    "scipy",
}
PROGRAM = """
import json, sys
from yulan.cli import main
try:
    main(sys.argv[1:], standalone_mode=True)
except SystemExit as end:
    code = end.code or 0
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def typed(*words: str) -> tuple[int, set[str]]:
    """Exit code of a `yulan` command and the top-level modules it imported."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    told = json.loads(done.stderr.splitlines()[-1])
    return told["code"], {name.split(".")[0] for name in told["modules"]}


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("plan",),
        ("plan", "yulan-mini"),
        ("plan", "nano", "--data"),
        ("lint", "nano"),
        ("show", "recipe"),
        ("show", "profile"),
        ("show", "phase", "phase-01"),
        ("plan", "--help"),
        ("verify", "--help"),
        ("audit", "--help"),
        ("adopt", "--help"),
        ("checkpoint", "list", "--help"),
        ("replay", "--help"),
        ("restore", "--help"),
        ("reproduce", "--help"),
        ("evaluate", "--help"),
        ("data", "fetch", "--help"),
        ("data", "--help"),
        ("data", "remove", "--help"),
        ("data", "at", "--help"),
        ("data", "seen", "--help"),
        ("study", "stability", "--help"),
    ],
    ids=" ".join,
)
def test_a_light_command_imports_nothing_heavy(words: tuple[str, ...]):
    code, modules = typed(*words)
    assert code == 0
    assert not modules & HEAVY


def test_verify_imports_nothing_heavy(tmp_path: Path):
    files.write_text(tmp_path / "data" / "words.txt", "one two")
    listed = survey(tmp_path / "data")
    made = Manifest(format=FORMAT, stage="raw", name="nano", files=listed, inputs={}, keys={}, summary={}, determinism=None)
    write(tmp_path / "manifest.json", made)
    code, modules = typed("verify", str(tmp_path))
    assert code == 0
    assert not modules & HEAVY


def test_an_audit_imports_neither_torch_nor_pyarrow():
    # A name that no hub has: what is imported to ask for it is what an auditor needs.
    for verb in ("audit", "adopt"):
        code, modules = typed(verb, "hf://a/b", "--from", "http://127.0.0.1:1")
        assert code == 7
        assert not modules & (HEAVY - {"huggingface_hub"})


def test_a_list_of_checkpoints_imports_nothing_heavy(tmp_path: Path):
    files.make_folder(tmp_path / "step-000002")
    code, modules = typed("checkpoint", "list", str(tmp_path))
    assert code == 0
    assert not modules & HEAVY


def test_every_verb_of_the_table_is_a_command():
    from yulan.cli import VERBS, main

    for verb in VERBS:
        command = main.get_command(None, verb)
        assert command is not None
        assert command.name == verb
        assert command.help
