"""Load YAML and JSON with care, check them against `schemas/`, and point at the wrong key."""

import difflib
import json
import math
import re
from collections.abc import Hashable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from yulan.errors import DataError, RecipeError, YulanError
from yulan.layout import shipped

T = TypeVar("T")
Scalar = int | float | str | bool

# Without detailed validation a law that a class breaks reaches the caller as it was raised.
_converter = cattrs.Converter(detailed_validation=False)
_converter.register_structure_hook(Scalar, lambda value, _: value)

_EXPONENT = re.compile(r"[-+]?\d+[eE][-+]?\d+")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError, OverflowError)
"""What PyYAML raises on strangers' text; beside its own errors those of values that their tag does not fit, `!!int ""`."""

LARGEST = 64 << 20
"""Bytes of the largest YAML or JSON file that is read."""


DEEPEST = 100
"""Collections of YAML inside each other."""
MOST = 1 << 20
"""Values, keys and ends of collections in a YAML file: a million take 5 s and 0.4 GB, and the largest file of ours has 9,000."""
DENSEST = 1 << 22
"""Commas and opening brackets of a JSON file: as many take 0.4 GB, and a list of 400,000 files has three quarters of them."""
ERRORS = 1000
"""Breaches of a schema among which the one to tell is chosen."""


# libyaml reads seven times as fast, and a curriculum has thousands of lines. Where it is missing PyYAML's own reader does.
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fast):  # type: ignore[misc]
    """YAML without duplicate keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return made


def _require_tame(text: str) -> None:
    """Refuse aliases (a bomb needs them), depth and number before anything is built: libyaml composes on the C stack."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Fast)):
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.constructor.ConstructorError(None, None, f"more than {DEEPEST} collections in each other", mark)
        if count > MOST:
            raise yaml.constructor.ConstructorError(None, None, f"more than {MOST:,} values", mark)


def _finite(loader: Any, node: Any) -> float:
    value: float = loader.construct_yaml_float(node)
    if not math.isfinite(value):
        # No bound of a schema stops it: every comparison with NaN is false.
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not a finite number", node.start_mark)
    return value


_Loader.add_constructor("tag:yaml.org,2002:float", _finite)


def _read(path: Path, kind: type[YulanError]) -> str:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise kind(f"{size:,} bytes; at most {LARGEST:,} are read", where=path, cure="Give a smaller file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise kind("no such file", where=path, cure="Check the name, or restore it with: git checkout or dvc pull") from None
    except (OSError, UnicodeDecodeError) as error:
        raise kind(f"cannot be read ({error.__class__.__name__})", where=path, cure="Give a readable UTF-8 file") from None


def load_yaml(path: Path) -> Any:
    """Raises: RecipeError: no such file, too large, not UTF-8, not YAML, nested too deep, an alias, a tag or a key twice."""
    text = _read(path, RecipeError)
    try:
        _require_tame(text)
        return yaml.load(text, Loader=_Loader)
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or error.__class__.__name__
        raise RecipeError(f"not plain YAML: {problem}", where=place, cure="Correct that line") from None


def yaml_of(text: str) -> Any:
    """A stranger's YAML as PyYAML reads it, with keys twice and NaN. It builds plain values only, and never many from few bytes.

    Raises: ValueError: not YAML, nested too deep, an alias, a tag that is no plain value's.
    """
    try:
        _require_tame(text)
        return yaml.load(text, Loader=_Fast)
    except UNREADABLE as error:
        raise ValueError(f"not plain YAML: {error.__class__.__name__}") from None


def load_json(path: Path, *, texts: bool = False) -> Any:
    """`texts`: documents of a source, which are judged one by one; they may be many, and one may hold half a pair.

    Raises: DataError: no such file, too large or dense, not UTF-8, not JSON, nested too deep, a key twice, half a pair.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a key stands twice")
        return made

    def finite(text: str) -> float:
        if not math.isfinite(value := float(text)):
            raise ValueError(f"{text[:30]} is not a JSON number")
        return value

    text = _read(path, DataError)
    try:
        if not texts and sum(map(text.count, ",[{")) > DENSEST:
            raise ValueError(f"more than {DENSEST:,} values")
        value = json.loads(text, object_pairs_hook=unique, parse_constant=finite, parse_float=finite)
        if not texts and _HALF.search(text):
            # Half of a surrogate pair, which no UTF-8 has: it would stop whatever hashes or prints the value.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", where=path, cure="Restore the file from where it came") from None


def _matches(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    # `$` of JSON Schema is the end of a text; Python's also stands before its last line end, which a shell would be given.
    if isinstance(instance, str) and not re.search(pattern.removesuffix("$") + r"\Z" * pattern.endswith("$"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator: Any = extend(Draft202012Validator, {"pattern": _matches})


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema `schemas/<name>.json`."""
    found: dict[str, Any] = json.loads((shipped("schemas") / f"{name}.json").read_text(encoding="utf-8"))
    return found


def check(value: Any, name: str, where: object, kind: type[YulanError] = RecipeError) -> None:
    """Raises: `kind`: `value` breaks `schemas/<name>.json`; the message has the path of the wrong key."""
    errors = list(islice(_Validator(schema(name)).iter_errors(value), ERRORS))
    # A misspelt key is also a missing one; what was typed says more.
    error = best_match([e for e in errors if e.validator == "additionalProperties"] or errors)
    if error is not None:
        what, cure = _explain(error)
        # jsonschema's own json_path writes $.phases['phase-03'], which nobody types.
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise kind(what, where=f"{where}: ${path}", cure=cure)


def structure(value: Any, kind: type[T]) -> T:
    """A checked value as the frozen dataclass it describes; the class's own laws are raised as they are."""
    return _converter.structure(value, kind)


def read_json(path: Path, name: str, kind: type[T]) -> T:
    """A file of `schemas/<name>.json` as its dataclass. Raises: DataError: `load_json` refuses it, or it breaks its schema."""
    raw = load_json(path)
    check(raw, name, path, DataError)
    return structure(raw, kind)


def read_yaml(path: Path, name: str, kind: type[T]) -> T:
    """The same of what a person wrote. Raises: RecipeError: `load_yaml` refuses it, or it breaks its schema."""
    raw = load_yaml(path)
    check(raw, name, path)
    return structure(raw, kind)


def plain(value: Any) -> Any:
    """A dataclass as dicts, lists and scalars."""
    return _converter.unstructure(value)


def _explain(error: ValidationError) -> tuple[str, str]:
    """Say one schema error in words: (what, cure)."""
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known)) if isinstance(error.instance, dict) else []
        return f"unknown key {', '.join(map(repr, unknown))}", suggest(unknown[0] if unknown else "", known)
    if "propertyNames" in error.absolute_schema_path:
        return f"the name {error.instance!r} is not allowed", "Use lower-case letters, digits and -"
    if error.validator == "required" and isinstance(error.schema, dict) and isinstance(error.instance, dict):
        missing = [key for key in error.schema["required"] if key not in error.instance]
        return f"missing key {', '.join(map(repr, missing))}", "Add it: a recipe is complete, it has no defaults"
    if error.validator == "type":
        written = isinstance(error.instance, str) and _EXPONENT.fullmatch(error.instance)
        hint = " (write 1.0e-3, not 1e-3, which YAML reads as text)" if written else ""
        return f"{str(error.instance)[:60]!r} is not of type {error.validator_value}{hint}", "Correct the value"
    if error.validator in {"enum", "const"}:
        allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"{error.instance!r} is not one of the known values", suggest(str(error.instance), [str(a) for a in allowed])
    return error.message[:200], "Correct the value; the schema's description says what it means"


def suggest(word: str, known: list[str]) -> str:
    """`Did you mean 'x'?`, or the list of what is known."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}"
