"""Schemas are closed and described, and say the same as the dataclasses they become."""

import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "schemas").glob("*.json"))
CLASSES = {
    "audit": "yulan.release.audit.run:Audited",
    "evidence": "yulan.release.card.evidence:Evidence",
    "band": "yulan.train.replay.band:Band",
    "contamination": "yulan.data.contamination:Contamination",
    "classifier": "yulan.data.score.classifier:Header",
    "compared": "yulan.evaluate.compare:Compared",
    "continued": "yulan.train.onward:Continued",
    "criteria": "yulan.evaluate.criteria:Criteria",
    "drops": "yulan.data.drops:Drops",
    "evaluated": "yulan.evaluate.evaluated:Evaluated",
    "evaluation": "yulan.evaluate.result:Evaluation",
    "families": "yulan.data.synthesize:Families",
    "index": "yulan.data.index.header:Header",
    "judged": "yulan.evaluate.criteria:Judged",
    "keys": "yulan.release.trust:Keys",
    "lineage": "yulan.release.lineage.told:Lineage",
    "locations": "yulan.release.locations:Locations",
    "label": "yulan.data.score.labels:Label",
    "manifest": "yulan.manifest:Manifest",
    "mix": "yulan.mix:Mix",
    "own": "yulan.data.own.write:Own",
    "pack": "yulan.data.pack:Header",
    "params": "yulan.params:Params",
    "phase": "yulan.train.onward:PhaseFile",
    "plan": "yulan.release.plan:Plan",
    "profile": "yulan.profile:Profile",
    "protocol": "yulan.study.protocol:Protocol",
    "published": "yulan.recipe.known:Published",
    "publication": "yulan.release.publication:Publication",
    "recipe": "yulan.recipe:Recipe",
    "record": "yulan.manifest:Record",
    "rejects": "yulan.data.readers.reject:Rejected",
    "release": "yulan.release.release:Release",
    "removal": "yulan.release.removal:Plan",
    "removed": "yulan.recipe.removed:Removed",
    "replayed": "yulan.train.replay.verdict:Replayed",
    "reproduction": "yulan.release.reproduce.report:Reproduction",
    "restored": "yulan.release.restore.told:Restored",
    "scores": "yulan.data.score.result:Scores",
    "shards": "yulan.data.shard:Shards",
    "slice": "yulan.release.slice:Slice",
    "sources": "yulan.recipe.sources:Sources",
    "spans": "yulan.data.index.spans:Header",
    "state": "yulan.train.checkpoint.state:StateFile",
    "study": "yulan.study.result:Results",
    "suite": "yulan.evaluate.suite:Suite",
    "tensors": "yulan.train.checkpoint.state:TensorTable",
    "verdict": "yulan.release.verdict:Verdict",
    "withdrawal": "yulan.release.withdrawal:Withdrawal",
    "watched": "yulan.train.checkpoint.state:Watched",
}
ROWS = {"metrics", "replay", "watch", "trial", "annealed", "answer", "synthetic"}
"""Rows of logs: written by the step or the run, read as they are."""
EVIDENT = frozenset(
    """format size seed tokens documents windows threads seconds count kept layers head_dim vocab_size eos_id beta1 beta2 eps
    bands min_chars max_chars new_tokens max_new_tokens temperature top_p shots""".split()  # noqa: SIM905 - a wall of quotes
)
"""Numbers whose name says all there is to say."""


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def parts(schema: Any, where: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with its path."""
    if isinstance(schema, dict):
        yield where, schema
        for key, value in schema.items():
            if key == "properties" or key == "$defs":
                for name, each in value.items():
                    yield from parts(each, f"{where}.{name}")
            elif key in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems"):
                for each in value if isinstance(value, list) else [value]:
                    yield from parts(each, f"{where}.{key}")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_says_what_it_is_of(name: str):
    schema = load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_closed(name: str):
    open_ones = [
        where for where, part in parts(load(name)) if "properties" in part and part.get("additionalProperties") is not False
    ]
    assert not open_ones


@pytest.mark.parametrize("name", NAMES)
def test_no_key_has_a_default_or_is_optional(name: str):
    for where, part in parts(load(name)):
        assert "default" not in part, where
        if "properties" in part:
            assert set(part["required"]) == set(part["properties"]), where


@pytest.mark.parametrize("name", NAMES)
def test_a_number_says_its_meaning_and_a_count_its_range(name: str):
    silent, boundless = [], []
    for where, part in parts(load(name)):
        for key, each in part.get("properties", {}).items():
            kinds = told(each)
            if {"integer", "number"} & kinds and "description" not in each and key not in EVIDENT:
                silent.append(f"{where}.{key}")
            if "integer" in kinds and not {"minimum", "enum", "const"} & set(each):
                boundless.append(f"{where}.{key}")
    assert not silent
    assert not boundless


def told(schema: dict[str, Any]) -> set[str]:
    """The types a schema allows, those of its listed values where it names none."""
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {{int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}[type(v)] for v in values}


def agree(schema: dict[str, Any], kind: Any, where: str) -> Iterator[str]:
    """Where a schema and a type differ."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    types_told = told(schema)
    if origin in (types.UnionType, typing.Union):
        inner = [argument for argument in arguments if argument is not type(None)]
        if (type(None) in arguments) != ("null" in types_told):
            yield f"{where}: null in one of both only"
        if len(inner) == 1:
            yield from agree(schema | {"type": list(types_told - {"null"})}, inner[0], where)
    elif dataclasses.is_dataclass(kind):
        have, hints = schema.get("properties", {}), typing.get_type_hints(kind)
        want = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
        if have.keys() != want.keys():
            yield f"{where}: {sorted(have.keys() ^ want.keys())} in one of both only"
        for name in have.keys() & want.keys():
            yield from agree(have[name], want[name], f"{where}.{name}")
    elif origin is typing.Literal:
        if set(schema.get("enum", [])) != set(arguments):
            yield f"{where}: the values differ"
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        extra = schema.get("additionalProperties", {} if arguments[1] is Any else None)
        if types_told != {"object"} or not isinstance(extra, dict):
            yield f"{where}: not an object of any keys"
        else:
            yield from agree(extra, arguments[1], f"{where}.*")
    elif origin is tuple:
        if types_told != {"array"} or not isinstance(schema.get("items"), dict):
            yield f"{where}: not an array"
        else:
            yield from agree(schema["items"], arguments[0], f"{where}[]")
    elif kind in (int, float, str, bool):
        wanted = {int: {"integer"}, float: {"number"}, str: {"string"}, bool: {"boolean"}}[kind]
        if types_told != wanted:
            yield f"{where}: {sorted(types_told)} is not {kind.__name__}"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_schema_and_its_dataclass_are_one(name: str):
    module, _, kind = CLASSES[name].partition(":")
    assert not list(agree(load(name), getattr(importlib.import_module(module), kind), "$"))


def test_every_schema_has_its_dataclass():
    assert set(NAMES) == set(CLASSES) | ROWS
