"""Token files as YuLan-Mini's authors write them (`pretrain/preprocess/tokenize/split_data.py`), and recipes that list them."""

import gzip
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from yulan import digest
from yulan.mix import PREFIX, FileList, Group, Intent, Mix, Part, Request, list_text, mix_text

Rows = Sequence[Sequence[int] | None]


def write_rows(path: Path, rows: Rows, column: str = "input_ids") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays([pa.array(rows)], [column]), path)
    return path


def draw_rows(seed: int, count: int, size: int, longest: int = 200) -> list[list[int]]:
    """Made-up documents; ids 0 to 2 are control tokens and never drawn."""
    draw = random.Random(seed)
    return [[draw.randrange(3, size) for _ in range(draw.randint(1, longest))] for _ in range(count)]


def write_mix(folder: Path, phase: str, listed: Mapping[str, Mapping[str, int]]) -> Mix:
    """A mix and its list below a recipe's folder: by source, tokens of each file by the path after the source's name."""
    groups = [Group(source=name, tokens=sum(files.values()), paths=tuple(files)) for name, files in listed.items()]
    text = list_text(groups).encode()
    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "mixes").mkdir(exist_ok=True)
    (folder / "files" / f"{phase}.txt.gz").write_bytes(gzip.compress(text))
    weights = {group.source: group.tokens for group in groups}
    made = Mix(
        total=sum(weights.values()),
        sources={name: Part(weight=tokens, repeats=0) for name, tokens in weights.items()},
        intent=Intent(
            name="01_made_up",
            declared=sum(weights.values()),
            sources={name: Request(tokens=tokens, flag=None) for name, tokens in weights.items()},
        ),
        files=FileList(
            path=f"files/{phase}.txt.gz", count=sum(len(group.paths) for group in groups), sha256=digest.of_bytes(text)
        ),
    )
    (folder / "mixes" / f"{phase}.yaml").write_text(mix_text(made))
    return made


def token_source(repo: str = "some/tokens") -> dict[str, Any]:
    """A source of sources.yaml."""
    return {
        "family": "web",
        "language": "en",
        "licence": "unknown",
        "attribution": "nobody",
        "hub": "unknown",
        "package": None,
        "reader": "tokens",
        "options": {"repo": repo, "column": "input_ids"},
        "paths": [],
        "exclude": [],
    }


def write_recipe(root: Path, base: Path, files: Mapping[str, Mapping[str, Rows]], phases: Mapping[str, Sequence[str]]) -> Path:
    """`recipes/tokens` below `root`, after the recipe in `base`: two layers, phases of a few steps.

    `files`: rows by source and by path after its name; `phases`: which of the paths each phase lists.
    """
    folder = root / "recipes" / "tokens"
    recipe = yaml.safe_load((base / "recipe.yaml").read_text())
    recipe["name"] = "tokens"
    shape = {"vocab_size": 1000, "hidden_size": 32, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 16, "ffn_size": 64}
    recipe["model"] |= shape | {"base_width": 16}
    recipe["schedule"]["warmup"] = 1
    first, after = json.dumps(recipe["phases"]["phase-01"]), "init"
    recipe["phases"] = {}
    for name in phases:
        made = {"after": after, "context": 32, "packing": "stream", "batch": 4, "grid": 4, "tokens": 128, "mix": name}
        recipe["phases"][name] = json.loads(first) | made | {"checkpoints": {"every": 1, "keep": 1}}
        recipe["phases"][name]["regime"] = "warmup-stable" if after == "init" else "stable"
        after = name
    recipe["evaluate"]["benchmarked"] = list(phases)
    recipe["data"]["tokenizer"] |= {"vocab_size": 1000}
    recipe["data"]["synthesize"]["families"] = {}
    recipe["data"]["score"] |= {"topics": {}, "quality": {}}
    recipe["release"]["text"] = []
    recipe["data"]["shards"] |= {"tokens": 500, "held_out": 0}
    (folder / "prompts").mkdir(parents=True)
    (folder / "prompts/README.md").write_text("No text is made.\n")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    benchmarks = {
        task["benchmark"]: {"package": None, "hub": "some/quiz", "reader": "questions", "paths": [], "licence": "unknown"}
        for task in recipe["evaluate"]["tasks"].values()
    }
    sources = {
        "packages": {},
        "folders": {},
        "sources": {name: token_source() for name in files},
        "benchmarks": benchmarks,
        "generator": None,
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources))
    (folder / "removed.yaml").write_text("format: 1\ndocuments: []\n")
    for name, paths in phases.items():
        listed = {
            source: {path: sum(len(row or ()) for row in rows) for path, rows in of.items() if path in paths}
            for source, of in files.items()
        }
        write_mix(folder, name, {source: of for source, of in listed.items() if of})
    return folder


def put_files(folder: Path, files: Mapping[str, Mapping[str, Rows]]) -> None:
    """The token files by their published paths."""
    for source, of in files.items():
        for path, rows in of.items():
            write_rows(folder / f"{PREFIX}{source}{path}", rows)
