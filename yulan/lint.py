"""What is wrong, odd or worth knowing in a recipe's mixes, before anything is built."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan.mix import Group, Mix, load_mix, read_list
from yulan.recipe import Book, Recipe, read_recipe
from yulan.recipe.scoring import with_paths
from yulan.recipe.sources import Sources, load_sources

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
PHASE = re.compile(r"phase-([0-9]+)(?:-[a-z0-9-]+)?")
NAMED = {
    "leetcode": "a site of problems that benchmarks draw from",
    "books3": "a collection of books that was withdrawn over copyright",
}
"""Words in a source's name that deserve a question, beside the names of the recipe's own benchmarks."""
SECOND = re.compile(r"__round__[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    level: Level
    rule: str
    where: str
    """A phase, a mix, a source or the recipe."""
    what: str


def lint_mix(mix: Mix, where: str) -> Iterator[Finding]:
    """What a mix was given against what was asked for; nothing where nothing was asked."""
    if mix.intent is None:
        return

    def found(level: Level, rule: str, what: str) -> Finding:
        return Finding(level=level, rule=rule, where=where, what=what)

    asked = {name: request.tokens for name, request in mix.intent.sources.items()}
    given = {name: part.weight for name, part in mix.sources.items()}
    for name in sorted(asked.keys() - given.keys()):
        yield found("error", "requested-and-absent", f"{name}: asked for {asked[name]:,} tokens, given none")
    for name in sorted(given.keys() - asked.keys()):
        yield found("error", "delivered-and-not-requested", f"{name}: given {given[name]:,} tokens that nobody asked for")
    if mix.intent.declared != mix.total:
        more = mix.intent.declared - mix.total
        yield found("error", "declared-total", f"declares {mix.intent.declared:,} tokens, {more:+,} on the sum of its parts")
    for name in sorted(asked.keys() & given.keys()):
        wanted, got = asked[name], given[name]
        words = f"{name}: given {got:,} of {wanted:,} tokens"
        if got * 2 < wanted:
            yield found("warning", "under-half", words)
        elif got > wanted * 2:
            yield found("warning", "over-twice", words)
        elif abs(got - wanted) * 5 > wanted:
            yield found("note", "off-by-a-fifth", words)
    if abs(mix.total - sum(asked.values())) * 100 > sum(asked.values()):
        yield found("note", "total-off-by-a-hundredth", f"given {mix.total:,} of {sum(asked.values()):,} tokens in all")


def lint_file(path: Path) -> tuple[Finding, ...]:
    """All findings of one mix, errors first; licences, names and token files too where the file lies in a recipe's folder.

    Raises: RecipeError: it or the sources.yaml beside it breaks its schema; IntegrityError: its list is another one.
    """
    mix, folder, where = load_mix(path), path.absolute().parent.parent, path.stem
    found = list(lint_mix(mix, where))
    if mix.files is not None and (folder / mix.files.path).is_file():
        found += _list({where: _listed(folder, mix)}, (where,), set())
        found += _second(where, read_list(folder, mix.files))
    if (folder / "sources.yaml").is_file():
        sources = _sources(folder)
        shares = Counter[str]()
        for name, part in mix.sources.items():
            if name in sources.sources:
                shares[sources.sources[name].licence] += part.weight
        found += [*_shares(shares, where), *_named(sources, Counter(name for name, part in mix.sources.items() if part.weight))]
    return tuple(sorted(found, key=lambda each: LEVELS.index(each.level)))


def _sources(folder: Path) -> Sources:
    """Of a recipe's folder; with the paths that its recipe splits them into, where it lies there."""
    sources, path = load_sources(folder / "sources.yaml"), folder / "recipe.yaml"
    return with_paths(sources, read_recipe(path).data.score, str(path)) if path.is_file() else sources


def lint_recipe(book: Book, folder: Path) -> tuple[Finding, ...]:
    """All findings, errors first; `folder` is the recipe's.

    Raises: IntegrityError: a list of token files is not the one of its mix.
    """
    found = list(_gaps(book.recipe))
    for phase in book.recipe.phases:
        found += lint_mix(book.mix(phase), phase)
    found += [*_files(book, folder), *_budgets(book), *_licences(book), *_names(book), *_unread(book)]
    return tuple(sorted(found, key=lambda each: LEVELS.index(each.level)))


def _gaps(recipe: Recipe) -> Iterator[Finding]:
    """Numbered phases must count from 1 along each path."""
    for name in recipe.phases:
        numbers = [int(matched[1]) for p in recipe.path(name)[-2:] if (matched := PHASE.fullmatch(p))]
        first = len(recipe.path(name)) == 1
        if (first and numbers != [1]) or (not first and (len(numbers) != 2 or numbers[1] != numbers[0] + 1)):
            what = f"comes after {recipe.phase(name).after}: a phase is missing between them, or one is misnamed"
            yield Finding(level="error", rule="phase-gap", where=name, what=what)


def _files(book: Book, folder: Path) -> Iterator[Finding]:
    """Token files that a path reads twice, and those that are read in a second round under another name."""
    lists: dict[str, list[str]] = {}
    for phase in book.recipe.phases:
        listed = book.mix(phase).files
        lists[phase] = _listed(folder, book.mix(phase))
        yield from _second(phase, read_list(folder, listed) if listed is not None else ())
    told: set[tuple[str, str]] = set()
    for leaf in book.recipe.leaves():
        yield from _list(lists, book.recipe.path(leaf), told)


def _listed(folder: Path, mix: Mix) -> list[str]:
    groups = read_list(folder, mix.files) if mix.files is not None else ()
    return [group.source + path for group in groups for path in group.paths]


def _second(where: str, groups: Iterable[Group]) -> Iterator[Finding]:
    if again := Counter(group.source for group in groups for path in group.paths if SECOND.match(path)):
        what = ", ".join(f"{name} {count}" for name, count in sorted(again.items()))
        yield Finding(level="note", rule="second-round", where=where, what=f"files named as a second round: {what}")


def _list(lists: Mapping[str, Sequence[str]], path: Sequence[str], told: set[tuple[str, str]]) -> Iterator[Finding]:
    """Files that stand twice in the lists of the phases on a path; pairs of phases that were told are not told again."""
    first: dict[str, str] = {}
    twice = Counter[tuple[str, str]]()
    sample: dict[tuple[str, str], str] = {}
    for phase in path:
        for file in lists[phase]:
            if file in first:
                twice[first[file], phase] += 1
                sample.setdefault((first[file], phase), file)
            else:
                first[file] = phase
    for pair, count in twice.items():
        if pair not in told:
            told.add(pair)
            what = f"{count} token files are read in {pair[0]} already, {sample[pair]} for one"
            yield Finding(level="error", rule="file-twice", where=pair[1], what=what)


def _budgets(book: Book) -> Iterator[Finding]:
    """Published tokens that a phase leaves out, or has to read again."""
    for name, phase in book.recipe.phases.items():
        mix = book.mix(name)
        if mix.files is not None and mix.total != phase.tokens:
            steps = (mix.total - phase.tokens) / phase.step_tokens
            what = f"its mix holds {mix.total:,} tokens, its budget is {phase.tokens:,}: {steps:+,.1f} steps"
            yield Finding(level="note", rule="budget", where=name, what=what)


def _licences(book: Book) -> Iterator[Finding]:
    shares = Counter[str]()
    for name, phase in book.recipe.phases.items():
        for source, tokens in book.mix(name).quotas(phase.tokens).items():
            shares[book.sources.sources[source].licence] += tokens
    yield from _shares(shares, book.recipe.name)


def _shares(shares: Counter[str], where: str) -> Iterator[Finding]:
    total = sum(shares.values())
    what = ", ".join(f"{licence} {100 * tokens / total:.1f} %" for licence, tokens in shares.most_common())
    if total:
        yield Finding(level="note", rule="licences", where=where, what=f"share of tokens by licence: {what}")


def _names(book: Book) -> Iterator[Finding]:
    used = Counter[str]()
    for phase in book.recipe.phases:
        used.update(name for name, part in book.mix(phase).sources.items() if part.weight)
    yield from _named(book.sources, used)


def _unread(book: Book) -> Iterator[Finding]:
    """Paths that a source is split into and no mix takes from: their text is made and not trained on."""
    used = {name for phase in book.recipe.phases for name, part in book.mix(phase).sources.items() if part.weight}
    for source in book.recipe.data.score.split:
        if unread := [path for path in book.recipe.data.score.paths(source) if path not in used]:
            yield Finding(level="note", rule="unread-path", where=source, what=f"no mix takes from {', '.join(unread)}")


def _named(sources: Sources, used: Counter[str]) -> Iterator[Finding]:
    """Sources that are called after what a model is evaluated on; `used`: in how many phases each is read."""
    words = {name.replace("_", ""): "a benchmark of this recipe" for name in sources.benchmarks} | NAMED
    for source in sorted(used):
        parts = re.split(r"[/_.-]+", source.lower())
        for word, meaning in words.items():
            if any(part == word for part in parts):
                what = f"is named after {word}, {meaning}; read in {used[source]} phase{'s' * (used[source] > 1)}"
                yield Finding(level="note", rule="name", where=source, what=what)
