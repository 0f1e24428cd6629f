"""What may be wrong with figures and parts in the forms that programs read, by the rule that names it."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.unit.release.wrong_data import replace

MAIN = "model/main"


def header(bundle: Path, old: str, new: str, folder: str = MAIN) -> None:
    card = bundle / folder / "README.md"
    text = card.read_text(encoding="utf-8")
    assert old in text
    replace(card, text.replace(old, new, 1))


def inventory(bundle: Path, change: Callable[[dict], object]) -> None:
    """Change aibom.cdx.json."""
    path = bundle / MAIN / "aibom.cdx.json"
    raw = json.loads(path.read_text())
    change(raw)
    replace(path, json.dumps(raw))


def claim(bundle: Path, name: str, **entry: object) -> None:
    told = {"dataset": {"id": "openai/gsm8k", "task_id": "gsm8k"}, "value": 99.0} | entry
    replace(bundle / MAIN / ".eval_results" / name, yaml.safe_dump([told]))


def model(raw: dict) -> dict:
    return raw["metadata"]["component"]


REPORTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("results-measured", lambda b: header(b, "value: 0.25", "value: 0.75"), "model-index has what nobody measured"),
    ("results-measured", lambda b: header(b, "value: 0.25", "value: 0.75"), "model-index leaves out"),
    ("results-measured", lambda b: header(b, "      name: acc\n", "      name: acc\n      verified: true\n"), "'verified': True"),
    ("results-measured", lambda b: header(b, "- name: YuLan-Nano", "- name: Another"), "model-index is of another name"),
    ("results-measured", lambda b: header(b, "model-index:", "model-index: []\nx:"), "it has no results"),
    (
        "results-measured",
        lambda b: header(b, "tags: [opt", "model-index: [{results: [{value: 1}]}]\ntags: [opt", "states/main"),
        "states/main: model-index has what nobody measured: {'value': 1}",
    ),
    ("results-measured", lambda b: claim(b, "gsm8k.yaml"), ".eval_results/gsm8k.yaml is not what was measured"),
    ("aibom-valid", lambda b: (b / MAIN / "aibom.cdx.json").unlink(), "model/main: no aibom.cdx.json"),
    ("aibom-valid", lambda b: inventory(b, lambda raw: raw.update(specVersion="9")), "is of version 9, not 1.7"),
    (
        "aibom-valid",
        lambda b: inventory(b, lambda raw: raw["components"][0].update(licenses=[{"license": {"id": "Nope-1"}}])),
        "is not valid under any of the given schemas",
    ),
    (
        "aibom-valid",
        lambda b: inventory(b, lambda raw: model(raw)["components"][0]["hashes"][0].update(content="0" * 64)),
        "has another sha256",
    ),
    ("aibom-valid", lambda b: inventory(b, lambda raw: model(raw)["components"].pop()), "is not among its files"),
    (
        "aibom-valid",
        lambda b: inventory(b, lambda raw: model(raw)["components"][0].update(name="lost")),
        "lost is among its files and not there",
    ),
    (
        "aibom-valid",
        lambda b: inventory(b, lambda raw: raw["components"][0]["properties"][0].update(value="0" * 64)),
        "YuLan-Nano-states has another digest than the manifest pins",
    ),
    (
        "aibom-valid",
        lambda b: inventory(
            b, lambda raw: model(raw)["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0].update(value="0.9")
        ),
        "its metrics are not those that it names a place for",
    ),
    (
        "aibom-valid",
        lambda b: inventory(b, lambda raw: model(raw)["modelCard"]["properties"][0].update(value="0.9")),
        "0.9 is 0.25 at evaluation.json#/tasks/arc_easy/value",
    ),
]
