"""aibom.cdx.json: what a model revision is made of, as a CycloneDX 1.7 AI-BOM (ECMA-424, cyclonedx.org).

The model with its files, the optimizer states, the sources of its text, and the packages of requirements.lock. A build
has no date and no chance: the serial number is a UUID of the content, so equal inventories have equal numbers.
"""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yulan import __version__, digest, files, manifest
from yulan.recipe import Book
from yulan.release.bundle.inputs import UNKNOWN, Inputs
from yulan.release.bundle.papers import text_of
from yulan.release.card.evidence import pointer
from yulan.release.card.results import BITS
from yulan.release.card.scores import EVALUATION
from yulan.release.export import End
from yulan.release.folder import CARD_FILES
from yulan.release.names import MAIN, Part, repo
from yulan.schema import load_json

AIBOM = "aibom.cdx.json"
LOCK = "requirements.lock"
DIGEST, TEXT = "yulan:content-digest", "yulan:text"
"""Properties: the digest of a repository's manifest.json; whether a source's text is published, and why."""
Json = dict[str, Any]


def write_aibom(inputs: Inputs, end: End, folder: Path, pins: Mapping[str, str]) -> None:
    """Describe a finished model folder, whose card may still change; `pins` names the other two repositories by digest."""
    book = inputs.book
    found = [each for each in manifest.survey(folder) if each.path not in CARD_FILES]
    packages = [_package(line) for line in (inputs.root / LOCK).read_text(encoding="utf-8").split()]
    sources = [_source(book, name) for name in inputs.used]
    licences = book.recipe.release.licences
    code = _licensed({"type": "application", "bom-ref": "yulan", "name": "yulan", "version": __version__}, licences.code)
    others = [
        _repository(book, "states", end.revision, pins) | {"bom-ref": "states"},
        _repository(book, "data", MAIN, pins) | {"bom-ref": "data", "components": sources},
    ]
    model = _licensed({"type": "machine-learning-model", "bom-ref": "model"}, licences.weights) | _named(book, "model")
    model |= {
        "version": end.revision,
        "modelCard": _card(book, folder, [source["bom-ref"] for source in sources]),
        "components": [
            {"type": "file", "bom-ref": f"file:{each.path}", "name": each.path, "hashes": _sha256(each.sha256)} for each in found
        ],
    }
    body: Json = {
        "metadata": {"component": model},
        "components": [*others, code, *packages],
        "dependencies": [
            {"ref": "model", "dependsOn": ["data", "states", "yulan"]},
            {"ref": "yulan", "dependsOn": [each["bom-ref"] for each in packages]},
        ],
    }
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest.of_json(body))}",
        "version": 1,
    }
    files.write_json(folder / AIBOM, head | body)


def _named(book: Book, part: Part) -> Json:
    target = repo(book.recipe.release.repo, part)
    owner, _, name = target.id.partition("/")
    address = {"type": "distribution", "url": f"https://huggingface.co/{target}"}
    return {"group": owner, "name": name, "externalReferences": [address]}


def _repository(book: Book, part: Part, revision: str, pins: Mapping[str, str]) -> Json:
    licences = book.recipe.release.licences
    told: Json = {"type": "data", "version": revision} | _named(book, part)
    told["properties"] = [{"name": DIGEST, "value": pins[f"{part}/{revision}"]}]
    return _licensed(told, licences.states if part == "states" else licences.synthetic)


def _source(book: Book, name: str) -> Json:
    """A source of text, with its licence and the pinned file that it is read from."""
    source, text = book.sources.sources[name], text_of(book, name)
    kept = "published" if text.published else "not published"
    told: Json = {
        "type": "data",
        "bom-ref": f"source:{name}",
        "name": name,
        "description": source.attribution,
        "properties": [{"name": TEXT, "value": f"{kept}: {text.why}"}],
    }
    package = book.sources.packages.get(source.package or "")
    if package is not None:
        url = _purl(source.package or "", package.version)
        told["externalReferences"] = [{"type": "distribution", "url": url, "hashes": _sha256(package.sha256)}]
    return _licensed(told, source.licence)


def _package(line: str) -> Json:
    name, _, version = line.partition("==")
    url = _purl(name, version)
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _purl(name: str, version: str) -> str:
    """A package URL (ECMA-427) of a Python package."""
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version, safe='')}"


def _licensed(told: Json, licence: str) -> Json:
    return told | {"licenses": [{"license": {"name": licence} if licence == UNKNOWN else {"id": licence}}]}


def _sha256(value: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": value}]


def _card(book: Book, folder: Path, datasets: list[str]) -> Json:
    """The model card of the BOM; each metric's place in evaluation.json stands among its properties, in the same order."""
    release = book.recipe.release
    config, evaluation = load_json(folder / "config.json"), load_json(folder / EVALUATION)
    measured = list(_metrics(evaluation))
    told: Json = {
        "modelParameters": {
            "approach": {"type": "self-supervised"},
            "task": "text-generation",
            "architectureFamily": "transformer",
            "modelArchitecture": config["architectures"][0],
            "datasets": [{"ref": each} for each in datasets],
        },
        "considerations": {"useCases": [release.intended_use], "technicalLimitations": list(release.limitations)},
    }
    if measured:
        told["quantitativeAnalysis"] = {"performanceMetrics": [metric for metric, _ in measured]}
        told["properties"] = [{"name": f"{EVALUATION}#{key}", "value": metric["value"]} for metric, key in measured]
    return told


def _metrics(evaluation: Mapping[str, Any]) -> Iterator[tuple[Json, str]]:
    """Each figure and where it stands."""
    for task, told in evaluation["tasks"].items():
        yield {"type": told["metric"], "value": str(told["value"]), "slice": task}, pointer("tasks", task, "value")
    for family, told in evaluation["held_out"].items():
        slice_ = f"held-out text, {family}"
        yield {"type": BITS, "value": str(told[BITS]), "slice": slice_}, pointer("held_out", family, BITS)
