"""`data.score`: which sources are split into paths before shards are made, and by which classifiers.

First recall: what is of a topic leaves a source for `<source>/topic_<name>`, the rest stays. Then scores: what a source
(or such a path) holds goes to `<source>/score_1` … `score_5`. Mixes name the paths.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from yulan.errors import RecipeError
from yulan.recipe.sources import SPLIT, Source, Sources
from yulan.schema import suggest

SCORES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """What a classifier sees of a text."""

    words: int
    """Longest run of words that is one feature; words as yulan/data/words.py cuts them."""
    buckets: int
    """Features are hashed into so many."""
    chars: int
    """Characters that are judged, from the beginning of a text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """Parts of the drawn documents that no weight is learned from; which one a document is in depends on its id alone."""

    calibrate: int
    """Documents in a thousand that probabilities and cuts are fitted on."""
    test: int
    """Documents in a thousand that agreement is measured on, and nothing is fitted on."""
    least: int
    """Fewest documents of either side in each fold and in the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """Where one score ends and the next begins."""

    by: Literal["share", "probability"]
    """`share`: shares of the pool's calibration fold that lie below; `probability`: of being from the reference."""
    at: tuple[float, ...]
    """Four, rising: the lowest probability, or share, of the scores 2, 3, 4 and 5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Scores that another judge gave, in a file below the recipe's folder (docs/guides/data.md)."""

    path: str
    sha256: str
    override: bool
    """They decide where there is one; false: agreement with them is reported, and that is all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Scores from 1 to 5 by likeness to reference sources, as DCLM (arXiv 2406.11794, section 4.4) filters."""

    sources: tuple[str, ...]
    """What is split, sources or the paths of topics; the pool that negatives are drawn from."""
    reference: tuple[str, ...]
    """Sources whose documents are positives."""
    against: tuple[str, ...]
    """Sources whose documents are negatives beside the pool's."""
    draw: int
    """Documents taken from each source, the first by id: ids are digests, so this is a draw by chance that repeats."""
    c: float
    """Inverse strength of the L2 penalty."""
    cuts: Cuts
    labels: Labels | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """Documents of a topic, recalled from general sources."""

    sources: tuple[str, ...]
    """What they are taken out of; the pool that negatives are drawn from."""
    reference: tuple[str, ...]
    """Sources of the topic."""
    against: tuple[str, ...]
    """Sources written like the reference about other things, so that words are learned and not the form."""
    draw: int
    """Documents taken from each source, the first by id."""
    c: float
    """Inverse strength of the L2 penalty."""
    threshold: float
    """Least probability of what is taken; of several topics the likeliest takes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How sources are split by what their documents are like."""

    features: Features
    folds: Folds
    topics: Mapping[str, Topic]
    quality: Mapping[str, Quality]

    def __post_init__(self) -> None:
        for kind, rules in (("topics", self.topics), ("quality", self.quality)):
            for name, rule in rules.items():
                where = f"$.data.score.{kind}.{name}"
                known = {self.root(path) for path in rule.sources}
                if both := known & {*rule.reference, *rule.against}:
                    what = f"{min(both)} cannot be judged and be the measure"
                    raise RecipeError(what, where=where, cure="Take it out of one of the lists")
                if both := set(rule.reference) & set(rule.against):
                    what = f"{min(both)} is on both sides of a classifier"
                    raise RecipeError(what, where=where, cure="Take it out of one of the lists")
        for name, quality in self.quality.items():
            at = (0.0, *quality.cuts.at, 1.0)
            if len(at) != len(SCORES) + 1 or any(low >= high for low, high in pairwise(at)):
                raise RecipeError(
                    "cuts do not rise from 0 to 1",
                    where=f"$.data.score.quality.{name}.cuts.at",
                    cure="Write four, such as [0.2, 0.4, 0.6, 0.8]",
                )
        judged = [path for quality in self.quality.values() for path in quality.sources]
        if twice := {path for path in judged if judged.count(path) > 1}:
            raise RecipeError(f"{min(twice)} is scored twice", where="$.data.score.quality", cure="Leave it to one classifier")

    @property
    def split(self) -> tuple[str, ...]:
        """Sources that do not stay whole, sorted."""
        named = [path for topic in self.topics.values() for path in topic.sources]
        named += [path for quality in self.quality.values() for path in quality.sources]
        return tuple(sorted({self.root(path) for path in named}))

    def root(self, path: str) -> str:
        """The source that a path of a topic is taken out of; any other path is one itself."""
        found = {topical(source, name): source for name, topic in self.topics.items() for source in topic.sources}
        return found.get(path, path)

    def topics_of(self, source: str) -> tuple[str, ...]:
        """Topics that are taken out of a source, sorted."""
        return tuple(sorted(name for name, topic in self.topics.items() if source in topic.sources))

    def quality_of(self, path: str) -> str | None:
        """The classifier that scores what is on a path."""
        return next((name for name, quality in self.quality.items() if path in quality.sources), None)

    def paths(self, source: str) -> tuple[str, ...]:
        """Where the documents of a source end; the source itself where nothing splits it."""
        found: list[str] = []
        for path in (source, *(topical(source, name) for name in self.topics_of(source))):
            found += [path] if self.quality_of(path) is None else [scored(path, score) for score in SCORES]
        return tuple(found)


def topical(source: str, topic: str) -> str:
    return f"{source}/topic_{topic}"


def scored(path: str, score: int) -> str:
    return f"{path}/score_{score}"


def with_paths(sources: Sources, score: Score, where: str) -> Sources:
    """Sources and the paths that they are split into, which carry over family, language, licence and attribution.

    `where`: the recipe's file. Raises: RecipeError: a rule names a source that is not there, or has no text.
    """
    for at, name in _named(score):
        if score.root(name) not in sources.sources:
            cure = suggest(name, sorted(sources.sources))
            raise RecipeError(f"no source named {name!r} to score or learn from", where=f"{where}: {at}", cure=cure)
        if sources.sources[score.root(name)].tokenised:
            raise RecipeError(f"{name} is token files: there is no text to judge", where=f"{where}: {at}", cure="Take it out")
    made: dict[str, Source] = {}
    for name in score.split:
        for path in score.paths(name):
            if path != name and path in sources.sources:
                what = f"{path} is a source already"
                raise RecipeError(what, where=f"{where}: $.data.score", cure="Rename it in sources.yaml, or the topic here")
            if path != name:
                made[path] = replace(sources.sources[name], reader=SPLIT, options={"of": name}, paths=(), exclude=())
    return replace(sources, sources=dict(sources.sources) | made)


def _named(score: Score) -> Iterator[tuple[str, str]]:
    for kind, rules in (("topics", score.topics), ("quality", score.quality)):
        for name, rule in rules.items():
            for key in ("sources", "reference", "against"):
                yield from ((f"$.data.score.{kind}.{name}.{key}", each) for each in getattr(rule, key))
