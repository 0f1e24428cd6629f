"""Rules about a model's figures and parts in the forms that programs read; the one file that imports cyclonedx."""

from collections.abc import Iterator
from typing import Any

import yaml

from yulan.release.card.evidence import lookup
from yulan.release.card.results import FOLDER, hubs_of, model_index, registered
from yulan.release.card.scores import EVALUATION
from yulan.release.gate.bundle import Bundle, Folder
from yulan.release.gate.claims import front_matter
from yulan.schema import load_json, load_yaml

AIBOM = "aibom.cdx.json"
INDEX = "model-index"
VERSION = "1.7"
"""Of CycloneDX."""


def results_measured(bundle: Bundle) -> Iterator[str]:
    """Every value in a card's model-index and below .eval_results stands in evaluation.json; none claims to be verified."""
    for folder in bundle.folders:
        header, path = front_matter(folder.path / "README.md"), folder.path / FOLDER
        found = {each.name: load_yaml(each) for each in sorted(path.glob("*"))} if path.is_dir() else {}
        wanted, files = _wanted(bundle, folder) if folder.part == "model" else ({}, {})
        told = {key: header[key] for key in (INDEX,) if key in header}
        if told != wanted:
            yield from (f"{folder}: {row}" for row in _rows(told, wanted))
        yield from (f"{folder}: {FOLDER}/{name} is not what was measured" for name in found if found[name] != files.get(name))
        yield from (f"{folder}: no {FOLDER}/{name}" for name in sorted(files.keys() - found.keys()))


def _wanted(bundle: Bundle, folder: Folder) -> tuple[dict[str, Any], dict[str, Any]]:
    """What evaluation.json gives: the header's part, and the files; `main` is called by the revision that it is."""
    name, revision = bundle.release.name, folder.content.name.rpartition("/")[2]
    evaluation = load_json(folder.path / EVALUATION)
    index = yaml.safe_load(model_index(name, revision, evaluation, hubs_of(bundle.book)) or "{}")
    return index, registered(name, revision, evaluation)


def _rows(told: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """Where two indexes differ, by result."""
    try:
        ours, theirs = ([str(each) for each in index[INDEX][0]["results"]] if index else [] for index in (wanted, told))
    except (KeyError, IndexError, TypeError):
        ours, theirs = [], ["it has no results"]
    rows = [f"{INDEX} has what nobody measured: {each}" for each in theirs if each not in ours]
    rows += [f"{INDEX} leaves out {each}" for each in ours if each not in theirs]
    yield from rows or [f"{INDEX} is of another name"]


def aibom_valid(bundle: Bundle) -> Iterator[str]:
    """The strict validator of CycloneDX 1.7 accepts each model's AI-BOM, whose digests and figures are those of its files."""
    for folder in bundle.of("model"):
        path = folder.path / AIBOM
        if not path.is_file():
            yield f"{folder}: no {AIBOM}"
            continue
        yield from (f"{folder}: {AIBOM}: {row}" for row in (*complaints(path.read_text(encoding="utf-8")), *_untrue(folder)))


def complaints(text: str) -> Iterator[str]:
    """What the validator says is wrong."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    for error in JsonStrictValidator(SchemaVersion.V1_7).validate_str(text, all_errors=True) or ():
        yield " ".join(str(error).split())[:300]


def _untrue(folder: Folder) -> Iterator[str]:
    """Files whose sha256, repositories whose digest and metrics whose value are not those of the folder."""
    raw = load_json(folder.path / AIBOM)
    if raw["specVersion"] != VERSION:  # which the schema leaves open
        yield f"is of version {raw['specVersion']}, not {VERSION}"
    model = raw["metadata"]["component"]
    told = {each["name"]: each["hashes"][0]["content"] for each in model["components"]}
    there = {file.path: file.sha256 for file in folder.content.files if file.path != AIBOM}
    yield from (f"{name} has another sha256" for name in sorted(told.keys() & there.keys()) if told[name] != there[name])
    yield from (f"{name} is not among its files" for name in sorted(there.keys() - told.keys()))
    yield from (f"{name} is among its files and not there" for name in sorted(told.keys() - there.keys()))
    pins = set(folder.content.inputs.values())
    for each in raw["components"]:
        if each["bom-ref"] in ("data", "states") and each["properties"][0]["value"] not in pins:
            yield f"{each['name']} has another digest than the manifest pins"
    card = model["modelCard"]
    metrics = [each["value"] for each in card.get("quantitativeAnalysis", {}).get("performanceMetrics", [])]
    sources = card.get("properties", [])
    if metrics != [each["value"] for each in sources]:
        yield "its metrics are not those that it names a place for"
    for each in sources:
        file, _, key = each["name"].partition("#")
        value = lookup(load_json(folder.path / EVALUATION), key, EVALUATION) if file == EVALUATION else None
        if str(value) != each["value"]:
            yield f"{each['value']} is {value} at {each['name']}"
