"""A small recipe with real shards and a real pack, and runs on real processes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yulan.data.pack import write_pack
from yulan.data.shard import ShardFile, Shards, SourceShards, Split
from yulan.data.spans import Span, cut_segments
from yulan.profile import Profile, load_profile
from yulan.recipe import Anneal, Recipe, read_recipe
from yulan.train.checkpoint.initial import write_initial
from yulan.train.phase import Plan

ROOT = Path(__file__).resolve().parents[3]
MIX = "5" * 64
VOCABULARY = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """All that a phase of training needs, in one folder."""

    folder: Path
    recipe: Recipe
    parent: Path

    def plan(self, steps: int = 8, **changed: object) -> Plan:
        told = {
            "recipe": self.recipe,
            "phase": "phase-01",
            "profile": profile(2),
            "mix": self.folder / "mix",
            "mix_digest": MIX,
            "shards": self.folder / "shards",
            "parent": self.parent,
            "steps": steps,
        }
        return Plan(**(told | changed))


def profile(processes: int, zero: int = 1) -> Profile:
    return replace(load_profile("cpu-1"), processes=processes, zero=zero)


def small_recipe(steps: int = 48, every: int = 2) -> Recipe:
    """nano, smaller still: so many steps of 8 windows of 32 in each phase, a checkpoint after each `every`."""
    nano = read_recipe(ROOT / "recipes" / "nano" / "recipe.yaml")
    model = replace(nano.model, vocab_size=VOCABULARY, hidden_size=32, layers=2, heads=2, kv_heads=1, head_dim=16, ffn_size=48)
    shape = {"context": 32, "batch": 8, "grid": 4, "tokens": steps * 8 * 32}
    phases = {
        name: replace(
            phase,
            **shape,
            checkpoints=replace(phase.checkpoints, every=every, keep=2),
            anneal=Anneal(start=2 * steps, length=steps, hold=None) if phase.anneal else None,
        )
        for name, phase in nano.phases.items()
    }
    tokenizer = replace(nano.data.tokenizer, vocab_size=VOCABULARY)
    return replace(
        nano,
        model=model,
        phases=phases,
        schedule=replace(nano.schedule, warmup=2),
        # So small a model on random ids is wild: no spike is refused, only what is not finite.
        watch=replace(nano.watch, least=nano.watch.window),
        data=replace(nano.data, tokenizer=tokenizer),
    )


def write_tokens(folder: Path, tokens: int) -> Shards:
    """One source of documents of 3 to 40 ids, ended by id 2."""
    draw = np.random.default_rng(1)
    ids = draw.integers(3, VOCABULARY, tokens)
    ids[np.cumsum(draw.integers(3, 40, tokens // 4)).clip(max=tokens - 1)] = 2
    path = "web/train/tokens-00000.bin"
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(ids.astype("<u2").tobytes())
    split = Split(documents=1, tokens=tokens, bytes=tokens, files=(ShardFile(path=path, tokens=tokens),))
    held = Split(documents=0, tokens=0, bytes=0, files=())
    sources = {"web": SourceShards(train=split, held=held)}
    return Shards(format=1, dtype="uint16", vocab_size=VOCABULARY, eos_id=2, bos_id=None, sources=sources)


def build_world(folder: Path, recipe: Recipe) -> World:
    phase = recipe.phase("phase-01")
    shards = write_tokens(folder / "shards", phase.tokens)
    spans = {"web": Span(quota=phase.tokens, start=0, repeated=0)}
    segments = cut_segments(spans, shards)
    write_pack(folder / "mix", context=phase.context, spans=spans, segments=segments, shards=shards)
    return World(folder=folder, recipe=recipe, parent=write_initial(folder / "init", recipe))


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path], World]:
    return lambda folder: build_world(folder, small_recipe())


@pytest.fixture(scope="session")
def world(make_world: Callable[[Path], World], tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clone with the data of a phase."""
    from tests.unit.train.audit_kit import audited_recipe, make_shop

    return make_shop(tmp_path_factory.mktemp("shop"), world, audited_recipe())


@pytest.fixture(scope="session")
def published(shop: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of three stretches on two launched ranks."""
    from tests.unit.train.audit_kit import END

    run: Path = shop.train(tmp_path_factory.mktemp("published") / "run", END, profile(2))
    return run
