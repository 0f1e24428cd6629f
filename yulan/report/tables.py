"""The numbers beside the pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yulan.manifest import Manifest
from yulan.recipe import Book
from yulan.report.facts import Facts, in_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    """Leading columns that hold words; the others are numbers and align right."""


def phases(book: Book, facts: Facts) -> Table:
    """What each phase was asked to do, and how its loss ended."""
    recipe, rows = book.recipe, []
    for name, phase in recipe.phases.items():
        last = [point.loss for point in facts.curves if point.phase == name][-10:]
        start = recipe.start(name)
        rows.append(
            (
                name,
                phase.after,
                phase.regime,
                f"{start:,}–{start + phase.steps:,}",
                f"{phase.steps * phase.step_tokens:,}",
                f"{phase.dropped:,}",
                f"{phase.batch} × {phase.context:,}",
                f"{phase.rope_theta:,.0f}",
                f"{sum(last) / len(last):.3f}" if last else "",
            )
        )
    head = ("phase", "after", "regime", "steps", "tokens", "dropped", "batch", "RoPE θ", "loss, last 10")
    return Table(head=head, rows=tuple(rows), texts=3)


def mixes(_: Book, facts: Facts) -> Table:
    """Tokens of each source in each phase."""
    tokens = {(share.source, share.phase): share.tokens for share in facts.mixes}
    family = {share.source: share.family for share in facts.mixes}
    order = sorted(family, key=lambda source: (facts.families.index(family[source]), source))
    rows = [(family[s], s, *(f"{tokens[s, p]:,}" if (s, p) in tokens else "–" for p in facts.phases)) for s in order]
    total = ("", "all", *(f"{sum(n for (_, q), n in tokens.items() if q == p):,}" for p in facts.phases))
    return Table(head=("family", "source", *facts.phases), rows=(*rows, total), texts=2)


def scores(book: Book, facts: Facts) -> Table:
    """Bits per byte of each family, before any step and after each phase."""
    first = {score.family: score.before for score in facts.scores if book.recipe.phase(score.phase).after == "init"}
    after = {(score.family, score.phase): score.after for score in facts.scores}
    names = sorted({family for family, _ in after}, key=facts.families.index)

    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    rows = [(name, shown(first.get(name)), *(shown(after.get((name, p))) for p in facts.phases)) for name in names]
    return Table(head=("family", "before", *facts.phases), rows=tuple(rows))


def positions(_: Book, facts: Facts) -> Table:
    """Bits per byte of parts of the context."""
    rows = [
        (score.phase, score.family.removeprefix("positions "), f"{score.before:.3f}", f"{score.after:.3f}")
        for score in facts.positions
    ]
    return Table(head=("phase", "positions", "before the phase", "after"), rows=tuple(rows), texts=2)


def answers(_: Book, facts: Facts) -> Table:
    """Benchmarks with their standard errors."""
    found = {(a.task, a.metric, a.phase): f"{a.value:.3f} ± {a.stderr:.3f}" for a in facts.answers}
    kinds = dict.fromkeys((task, metric) for task, metric, _ in found)
    rows = [(task, metric, *(found.get((task, metric, p), "–") for p in facts.phases)) for task, metric in kinds]
    return Table(head=("task", "metric", *facts.phases), rows=tuple(rows), texts=2)


def sources(book: Book, facts: Facts) -> Table:
    """Documents of each source through the stages, and its licence."""
    stages = ("raw", "synthesize", "clean", "dedup", "decontaminated", "train", "held")
    found = {(c.source, c.stage): c for c in facts.counts}
    names = sorted({c.source for c in facts.counts}, key=lambda s: (facts.families.index(book.sources.sources[s].family), s))
    rows = []
    for name in names:
        here = {stage: found.get((name, stage)) for stage in stages}
        counts = [f"{c.documents:,}" if (c := here[stage]) else "–" for stage in stages if stage != "synthesize"]
        if made := here["synthesize"]:
            counts[0] = f"{made.documents:,}"
        train = here["train"]
        about = book.sources.sources[name]
        rows.append(
            (
                name,
                about.family,
                about.licence,
                *counts,
                in_words(train.bytes, "B") if train else "–",
                f"{train.tokens:,}" if train else "–",
            )
        )
    head = (
        "source",
        "family",
        "licence",
        "read or made",
        "cleaned",
        "de-duplicated",
        "decontaminated",
        "train",
        "held out",
        "text",
        "tokens",
    )
    return Table(head=head, rows=tuple(rows), texts=3)


def drops(_: Book, facts: Facts) -> Table:
    """Every reason, with the documents it cost and the source it cost most."""
    rows = []
    for stage, reason in dict.fromkeys((drop.stage, drop.reason) for drop in facts.drops if drop.documents):
        here = [drop for drop in facts.drops if (drop.stage, drop.reason) == (stage, reason)]
        most = max(here, key=lambda drop: (drop.documents, drop.source))
        rows.append(
            (
                stage,
                reason.replace("_", " ").replace("-", " "),
                f"{most.source} ({most.documents:,})",
                f"{sum(d.documents for d in here):,}",
            )
        )
    return Table(head=("stage", "reason", "most from", "documents"), rows=tuple(rows), texts=3)


BUILT: dict[str, Callable[[Book, Facts], Table]] = {
    "phases": phases,
    "mixes": mixes,
    "scores": scores,
    "positions": positions,
    "answers": answers,
    "sources": sources,
    "drops": drops,
}


def yields(artifacts: Mapping[str, Manifest]) -> Table:
    """What each synthetic family gave: shares of questions, and of answers."""
    told = artifacts["synthesize"].summary.get("families", {}) if "synthesize" in artifacts else {}
    rows = [
        (
            name,
            str(each.get("skipped") or ", ".join(f"{verdict} {count:,}" for verdict, count in each["verdicts"].items())),
            *(f"{each[key]:,}" for key in ("questions", "asked", "kept")),
            *(f"{each[key]:.1%}" for key in ("any", "all", "mean")),
        )
        for name, each in told.items()
    ]
    head = ("family", "verdicts", "questions", "answers", "documents", "any right", "all right", "answers right")
    return Table(head=head, rows=tuple(rows), texts=2)


def digests(artifacts: Mapping[str, Manifest]) -> Table:
    """Every artifact with its whole identity."""
    rows = [(name, made.digest, f"{len(made.files):,}", in_words(made.size, "B")) for name, made in artifacts.items()]
    return Table(head=("artifact", "content digest", "files", "size"), rows=tuple(rows), texts=2)
