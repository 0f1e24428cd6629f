"""Each rule lets a sound bundle pass and names what is wrong in another."""

import csv
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.release.wrong_claims import CLAIMS
from tests.unit.release.wrong_data import DATA, replace
from tests.unit.release.wrong_reports import REPORTS
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.contents import executable
from yulan.release.gate.header import unsound, unsound_header
from yulan.release.gate.judge import RULES, judge, rule_on
from yulan.release.seal import seal
from yulan.release.verdict import read_verdict, write_verdict

FINAL, SHORT = "phase-03-step-000032", "phase-03-short-step-000032"


def rule(name: str):
    return next(each for each in RULES if each.id == name)


@pytest.fixture
def bundle(small: Path, tmp_path: Path) -> Path:
    """A copy whose files share bytes with the original; writing to one gives it bytes of its own."""
    shutil.copytree(small, tmp_path / "bundle", copy_function=os.link)
    return tmp_path / "bundle"


def edit(path: Path, **values: object) -> None:
    replace(path, json.dumps(json.loads(path.read_text()) | values))


def edit_csv(path: Path, row: int, **values: str) -> None:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    rows[row] |= values
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace(path, out.getvalue())


def change_weight(path: Path) -> None:
    tensors = load_file(path)
    tensors["model.norm.weight"][0] += 1e-3
    path.unlink()
    save_file(tensors, path)


def share_weights(bundle: Path) -> None:
    """Two revisions whose lists name the same weights."""
    for name in ("model.safetensors", "manifest.json"):
        replace(bundle / "model" / SHORT / name, (bundle / "model" / FINAL / name).read_bytes())


def test_a_sound_bundle_passes_every_rule(small: Path, tmp_path: Path):
    verdict = judge(small, "0" * 64)
    assert verdict.verdict == "pass"
    assert {r.id for r in verdict.rules if r.verdict == "waived"} == {"licences-stated"}
    assert all(len(r.sentence) > 20 for r in verdict.rules)
    write_verdict(tmp_path, verdict)
    assert read_verdict(tmp_path) == verdict


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("files-listed", lambda b: replace(b / "model/main/config.json", "{}"), "model/main: changed  config.json"),
    ("files-listed", lambda b: replace(b / "model/main/notes.txt", "x"), "model/main: extra    notes.txt"),
    ("files-listed", lambda b: (b / "data/main/shards.json").unlink(), "data/main: missing  shards.json"),
    ("files-listed", lambda b: replace(b / "model/stray/config.json", "{}"), "model/stray/config.json belongs to no revision"),
    (
        "files-listed",
        lambda b: edit(b / "model" / FINAL / "manifest.json", stage="checkpoint"),
        "its manifest is one of a checkpoint",
    ),
    ("names-safe", lambda b: os.symlink("config.json", b / "model/main/link"), "model/main/link is a link or special file"),
    ("names-safe", lambda b: replace(b / "model/main/CONFIG.json", "{}"), "stands twice"),
    ("names-safe", lambda b: replace(b / "model/main/a\x1b[31m", "{}"), "is not allowed"),
    ("schemas-valid", lambda b: edit(b / "data/main/shards.json", dtype="int8"), "data/main/shards.json: 'int8'"),
    ("schemas-valid", lambda b: replace(b / "states" / FINAL / "checkpoint/state.json", "{"), "not JSON"),
    (
        "three-pinned",
        lambda b: edit(b / "model/main/manifest.json", inputs={"data/main": "0" * 64}),
        "model/main pins another data/main",
    ),
    ("three-pinned", lambda b: edit(b / "model/main/manifest.json", inputs={}), "model/main pins no states"),
    (
        "no-pickle",
        lambda b: replace(b / "model/main/weights.safetensors", pickle.dumps({"a": [1]})),
        "weights.safetensors is a pickle",
    ),
    ("safetensors-sound", lambda b: replace(b / "model/main/model.safetensors", b"\xff" * 64), "model.safetensors: a header of"),
    ("no-remote-code", lambda b: edit(b / "model/main/config.json", auto_map={"AutoModel": "x.Y"}), "config.json has auto_map"),
    ("no-remote-code", lambda b: replace(b / "model/main/modeling.py", "import os"), "modeling.py is a program"),
    ("no-secrets", lambda b: replace(b / "data/main/.env", "HF_TOKEN=hf_" + "aB3" * 12), "data/main/.env:1 looks like a secret"),
    ("no-secrets", lambda b: replace(b / "data/main/key.txt", "-----BEGIN RSA PRIVATE KEY-----\n"), "(Private Key)"),
    ("no-machine", lambda b: replace(b / "states/main/x.bin", b"\0saved to /" + b"tmp/run\0"), "states/main/x.bin names"),
    (
        "no-machine",
        lambda b: replace(b / "states/main/log.txt", "saved to /" + "home/someone/runs"),
        "log.txt:1 names",
    ),
    ("steps-agree", lambda b: (b / "states" / FINAL).rename(b / "states" / "x"), "cannot be asked"),
    (
        "steps-agree",
        lambda b: edit(b / "states" / FINAL / "checkpoint/state.json", global_step=33),
        f"states/{FINAL} is at step 33",
    ),
    (
        "steps-agree",
        lambda b: edit(b / "states" / FINAL / "checkpoint/state.json", adam_step=32),
        "32 updates and 1 skipped steps are not 32",
    ),
    (
        "steps-agree",
        lambda b: edit(b / "states" / FINAL / "checkpoint/state.json", cursor={"phase": "phase-01", "windows": 1}),
        "is of phase-01",
    ),
    (
        "weights-are-the-masters",
        lambda b: change_weight(b / "model" / FINAL / "model.safetensors"),
        "model.norm.weight is not the master's",
    ),
    (
        "weights-are-the-masters",
        lambda b: change_weight(b / "model/phase-01-step-000016/model.safetensors"),
        "is not the master's",
    ),
    ("weights-differ", share_weights, "no alias is declared"),
    (
        "checkpoints-complete",
        lambda b: edit_csv(b / "model/main/checkpoints.csv", 0, step="17"),
        "step 17 and 4096 tokens are not the trainer's",
    ),
    (
        "checkpoints-complete",
        lambda b: edit_csv(b / "model/main/checkpoints.csv", 0, digest="0" * 64),
        "phase-01-step-000016: another digest",
    ),
    (
        "checkpoints-complete",
        lambda b: edit_csv(b / "model/main/checkpoints.csv", 0, revision="lost"),
        "no row for phase-01-step-000016",
    ),
    ("checkpoints-complete", lambda b: replace(b / "states/main/checkpoints.csv", "x\n"), "copies in model and states differ"),
    ("licences-stated", lambda b: (b / "states/main/LICENSE").unlink(), "states/main: no LICENSE"),
    (
        "licences-stated",
        lambda b: replace(b / "data/main/README.md", "---\nlicense: mit\n---\n"),
        "its card says 'mit', the recipe Apache-2.0 and BSD-3-Clause",
    ),
    ("licences-stated", lambda b: edit_csv(b / "data/main/sources.csv", 0, licence=" "), "code/networkx states no licence"),
    (
        "unknown-text-withheld",
        lambda b: edit_csv(b / "data/main/sources.csv", 1, text="published", licence="MIT"),
        "en/wiki is not ours to publish",
    ),
    (
        "unknown-text-withheld",
        lambda b: replace(b / "data/main/x.jsonl", '{"text": "a", "source": "en/wiki"}\n'),
        "x.jsonl holds text of en/wiki",
    ),
    (
        "unknown-text-withheld",
        lambda b: pq.write_table(pa.table({"text": ["a"]}), b / "data/main/x.parquet"),
        "x.parquet holds text of ?",
    ),
    *DATA,
    *CLAIMS,
    *REPORTS,
]


@pytest.mark.parametrize(("name", "change", "told"), WRONG, ids=[f"{i}-{row[0]}" for i, row in enumerate(WRONG)])
def test_what_is_wrong_is_named_by_its_rule(bundle: Path, name: str, change: Callable[[Path], object], told: str):
    change(bundle)
    ruling = rule_on(rule(name), Bundle(path=bundle))
    assert ruling.verdict == "fail"
    assert any(told in row for row in ruling.evidence), ruling.evidence


def test_every_rule_has_a_test_that_fails_it():
    assert {row[0] for row in WRONG} | {"numbers-proven", "begins-follow"} == {each.id for each in RULES}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| arc_easy | acc | 0.250 |", "| arc_easy | acc | 0.650 |", "'0.650' has no evidence"),
        ("## Limitations", "It scores 99% on MMLU.\n\n## Limitations", "'99%' has no evidence"),
        ("| context | 256", "| context | 28K", "'28K' has no evidence"),
        ("| 4,096 | 64 |", "| | |", "does not show '4,096'"),
    ],
)
def test_a_number_that_nobody_measured_fails(bundle: Path, old: str, new: str, told: str):
    card = bundle / "model" / "main" / "README.md"
    assert old in card.read_text()
    replace(card, card.read_text().replace(old, new))
    ruling = rule_on(rule("numbers-proven"), Bundle(path=bundle))
    assert any(told in row for row in ruling.evidence), ruling.evidence


def test_a_number_that_its_file_does_not_hold_fails(bundle: Path):
    task = {"metric": "acc", "value": 0.9, "stderr": 0.0434, "shots": 0, "items": 100}
    edit(bundle / "model" / "main" / "evaluation.json", tasks={"arc_easy": task})
    ruling = rule_on(rule("numbers-proven"), Bundle(path=bundle))
    assert any("'0.250' is 0.9 in evaluation.json" in row for row in ruling.evidence)


def test_an_unknown_licence_without_a_recorded_reason_fails(bundle: Path):
    recipe = bundle / "data/main/recipes/tiny/recipe.yaml"
    import yaml

    raw = yaml.safe_load(recipe.read_text())
    raw["release"]["unknown_licence"] = None
    replace(recipe, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True))
    ruling = rule_on(rule("licences-stated"), Bundle(path=bundle))
    assert ruling.verdict == "fail"
    assert ruling.evidence == ("en/wiki: its licence is unknown",)


def test_pickles_and_archives_are_known_by_content_and_other_files_are_not(tmp_path: Path, small: Path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "zip")
    torch.save({"a": torch.zeros(2)}, tmp_path / "legacy", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a", "b")
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.add(tmp_path / "z", "z")
    for protocol in range(6):
        (tmp_path / f"pickle-{protocol}").write_bytes(pickle.dumps({"x": [1, Path()]}, protocol))
    (tmp_path / "long").write_bytes(pickle.dumps(list(range(100_000)), 0))
    assert [p.name for p in sorted(tmp_path.iterdir()) if not executable(p.read_bytes()[: 1 << 16])] == []
    plain = [b"", b"0.", b"0.5\n", b"(a)\n", b"# text\n", b"{}\n", b"I am\n", b"\x80\x02\0\0" + b"\0" * 60, bytes(256), b"c\n"]
    assert [executable(data) for data in plain] == [None] * len(plain)


def test_a_header_that_lies_is_told(tmp_path: Path):
    def told(header: str, data: bytes = b"\0" * 8) -> str | None:
        raw = header.encode()
        (tmp_path / "x").write_bytes(len(raw).to_bytes(8, "little") + raw + data)
        return unsound(tmp_path / "x")

    def one(begin: object, end: object, shape: object = 2, dtype: str = "F32", name: str = "a") -> str:
        return f'"{name}": {{"dtype": "{dtype}", "shape": [{shape}], "data_offsets": [{begin}, {end}]}}'

    assert told("{" + one(0, 8) + "}") is None
    assert told("{" + one(0, 8, "8, 1, 2", "F4") + "}") is None
    assert told("{" + one(0, 4, 1) + "}") == "tensors do not fill the file"
    assert told("{" + one(4, 8, 1) + "}") == "tensors overlap or leave gaps"
    assert told("{" + one(-4, 4) + "}") == "tensors overlap or leave gaps"
    assert told("{" + one(8, 0) + "}") == "tensors overlap or leave gaps"
    assert told("{" + one(0, 8) + ", " + one(8, 8) + "}") == "a tensor stands twice"
    other = "a tensor's bytes are not those of its type and shape"
    for shape, dtype in ((3, "F32"), (2, "BF16"), (2, "F31"), (-2, "F32"), (1 << 62, "F32"), ("2, 0", "F32")):
        assert told("{" + one(0, 8, shape, dtype) + "}") == other
    assert told('{"__metadata__": {"a": 1}, ' + one(0, 8) + "}") == "metadata that is not text"
    for header in (
        "[1]",
        "{" * 100,
        "",
        '[["a", [["dtype", "F32"], ["shape", [2]], ["data_offsets", [0, 8]]]]]',
        "{" + one("0, 4", 8) + "}",
        "{" + one(0, "8.0") + "}",
        "{" + one("false", 8) + "}",
        "{" + one(0, 8, '"2"') + "}",
        '{"a": {"dtype": "F32", "shape": [2], "data_offsets": null}}',
        '{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1}}',
        '{"a": 1}',
    ):
        assert told(header) == "a header that is not one", header
    assert told("{" + "[" * (1 << 20) + "[") == "a header of more than 1,048,576 values"
    assert unsound_header((1 << 20).to_bytes(8, "little") + b"{}", 1 << 21) == "a header that is not one", "cut short"
    # Another encoding is JSON to some readers, and no header to the format's own.
    utf16 = ("{" + one(0, 8) + "}").encode("utf-16")
    assert unsound_header(len(utf16).to_bytes(8, "little") + utf16, len(utf16) + 16) == "a header that is not one"


def test_an_edited_and_resealed_revision_is_still_another_one(bundle: Path):
    folder = bundle / "model" / SHORT
    edit(folder / "config.json", vocab_size=7)
    seal(folder, name="x", inputs={}, keys={}, summary={})
    ruling = rule_on(rule("files-listed"), Bundle(path=bundle))
    assert ruling.evidence == (f"model/{SHORT}: release.json names another digest",)
