"""docs/faithful.md names every value of the real recipe, as the recipe has it, and says where it is from."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from yulan.recipe import load_recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/faithful.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| (\w+) \| ([^|]*)\|$", PAGE, re.M)
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "recipes/yulan-mini/recipe.yaml").read_text(encoding="utf-8"))


def value(key: str) -> Any:
    found: Any = RECIPE
    for name in key.split("."):
        found = found[name]
    return found


def leaves(node: Any, at: str = "") -> set[str]:
    if not isinstance(node, dict):
        return {at}
    return {leaf for name, inner in node.items() for leaf in leaves(inner, f"{at}.{name}" if at else name)}


@pytest.mark.parametrize(("key", "said", "status", "source"), ROWS, ids=[row[0] for row in ROWS])
def test_a_line_says_the_recipes_value_and_its_source(key: str, said: str, status: str, source: str):
    assert status in {"stated", "inferred", "unknown", "ours"}
    assert source.strip() or status in {"unknown", "ours"}
    found = value(key)
    if not isinstance(found, dict | list) and key not in {
        "data.tokenizer.learn.pattern",
        "release.unknown_licence",
        "release.intended_use",
    }:
        assert yaml.safe_load(said) == found


def test_every_key_of_the_recipe_has_a_line():
    told = {row[0] for row in ROWS}
    for key in leaves({name: part for name, part in RECIPE.items() if name not in ("name", "phases")}):
        assert any(key == each or key.startswith(f"{each}.") for each in told), key
    # Phases share their lines: each of a phase's keys is told of one phase at least.
    shared = {re.sub(r"^phases\.[^.]+\.", "", each) for each in told if each.startswith("phases.")}
    assert {leaf for phase in RECIPE["phases"].values() for leaf in leaves(phase)} - {"anneal"} == shared


def test_what_phases_share_is_shared():
    phases = RECIPE["phases"]
    long = {"phase-26", "phase-27"}
    for key in ("context", "packing", "rope_theta", "batch", "grid"):
        for name, phase in phases.items():
            assert phase[key] == phases["phase-26" if name in long else "phase-01"][key], (name, key)
    book = load_recipe(ROOT, "yulan-mini")
    assert [name for name in phases if book.mix(name).total != phases[name]["tokens"]] == ["phase-25"]
    assert sum(book.mix(name).total for name in book.recipe.path("phase-27")) == pytest.approx(1084.9e9, rel=1e-4)


def test_the_mixes_hold_what_the_public_tables_hold():
    book = load_recipe(ROOT, "yulan-mini")
    assert len(book.mixes) == 28
    assert len(book.sources.sources) == 292
    assert sum(mix.files.count for mix in book.mixes.values() if mix.files) == 114_953
    assert sum(mix.total for mix in book.mixes.values()) == 1_124_386_792_635
    flagged = [asked.flag for mix in book.mixes.values() if mix.intent for asked in mix.intent.sources.values() if asked.flag]
    assert flagged == [1] * 151


def test_a_dataset_is_named_only_where_its_name_is_in_the_sources():
    def plain(text: str) -> str:
        # Versions and sizes at the end of a name, like -v2, -40B, -1.0 or -196k, come and go.
        return re.sub(r"[^a-z0-9]", "", re.sub(r"([-_](v?[0-9.]+[bkm]?|neg[0-9]+))+$", "", text.lower()))

    sources = load_recipe(ROOT, "yulan-mini").sources.sources
    with (ROOT / "recipes/yulan-mini/origins.csv").open(encoding="utf-8") as file:
        assert len({row["prefix"] for row in csv.DictReader(file)}) > 100
    for name, source in sources.items():
        if source.hub == "unknown":
            assert source.attribution == "unknown"
            continue
        dataset, _, address = source.attribution.partition(", ")
        repository = address.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        parts = [plain(dataset), plain(repository)]
        assert any(part and part in plain(name) + re.sub(r"[^a-z0-9]", "", name.lower()) for part in parts), name
