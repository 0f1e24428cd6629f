"""The numbers beside the pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from yulan.manifest import Manifest
from yulan.recipe import Book
from yulan.report.facts import Facts, What, in_words


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
                f"{phase.after}, re-balanced" if phase.rebalance else phase.after,
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


def inside(_: Book, facts: Facts) -> Table:
    """What was seen inside the model at the last look of each phase, and the largest of all looks that `looks.csv` has."""
    rows = []
    for phase in facts.phases:
        seen = {what: [look for look in facts.looks if (look.phase, look.what) == (phase, what)] for what in get_args(What)}
        last = max((look.step for look in facts.looks if look.phase == phase), default=None)
        stream = [look.value for look in seen["hidden_rms"] if look.step == last]
        scores, ratios = ([look.value for look in seen[what]] for what in ("score_max", "update_ratio"))
        rows.append(
            (
                phase,
                "–" if last is None else f"{last:,}",
                f"{stream[0]:.2f} → {stream[-1]:.2f}" if stream else "–",
                f"{max(scores):.1f}" if scores else "–",
                f"{max(ratios):.2g}" if ratios else "–",
                f"{sum(refusal.phase == phase for refusal in facts.refused):,}",
            )
        )
    head = ("phase", "last look", "stream RMS, first → last norm", "largest score", "largest update / weights", "refused steps")
    return Table(head=head, rows=tuple(rows))


def refused(_: Book, facts: Facts) -> Table:
    """Steps that updated nothing."""
    rows = tuple((row.phase, row.why, f"{row.step:,}") for row in facts.refused)
    return Table(head=("phase", "why", "step"), rows=rows, texts=2)


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


def tokens(book: Book, facts: Facts) -> Table:
    """Bytes of text for each token of a family, in all that may be trained on."""
    rows, ends = [], 1 + book.recipe.data.shards.begin_with_bos
    for family in facts.families:
        here = [count for count in facts.counts if count.stage == "train" and count.family == family]
        size, ids, documents = (sum(getattr(count, key) for count in here) for key in ("bytes", "tokens", "documents"))
        if ids:
            # Published token files have no text.
            inside = ids - ends * documents
            each = f"{size / inside:.3f}" if size and inside > 0 else "–"
            rows.append((family, in_words(size, "B") if size else "–", f"{ids:,}", each))
    return Table(head=("family", "text", "tokens", "bytes per token"), rows=tuple(rows))


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


def leaks(_: Book, facts: Facts) -> Table:
    """Of each benchmark, what stood in the text: in all, and by kind of match, part of the item, and source."""
    rows = [
        (
            row.benchmark if row.by == "all" else "",
            f"{row.has:,}, {row.searched:,} looked for" if row.by == "all" else f"{row.by}: {row.part}",
            f"{row.items:,}",
            f"{row.documents:,}",
            in_words(row.bytes, "B"),
        )
        for row in facts.leaks
    ]
    return Table(head=("benchmark", "items", "items found", "documents dropped", "text"), rows=tuple(rows), texts=2)


def agreement(_: Book, facts: Facts) -> Table:
    """Figures of each classifier on documents it was not fitted on; `seen` and `unseen` are mean probabilities."""
    found = {(row.classifier, row.measure): row.value for row in facts.agreement}
    measures = tuple(dict.fromkeys(row.measure for row in facts.agreement))
    rows = [
        (name, *(f"{found[name, m]:.3f}" if (name, m) in found else "–" for m in measures))
        for name in dict.fromkeys(row.classifier for row in facts.agreement)
    ]
    return Table(head=("classifier", *(m.replace("_", " ") for m in measures)), rows=tuple(rows))


def outcomes(_: Book, facts: Facts) -> Table:
    """Test documents of each source by what a classifier says of them."""
    found = {(row.classifier, row.source, row.role, row.outcome): row.documents for row in facts.outcomes}
    kinds = tuple(dict.fromkeys(row.outcome for row in sorted(facts.outcomes, key=lambda row: "score" in row.outcome)))
    keys = dict.fromkeys((row.classifier, row.source, row.role) for row in facts.outcomes)
    rows = [(*key, *(f"{found[(*key, kind)]:,}" if (*key, kind) in found else "–" for kind in kinds)) for key in keys]
    return Table(head=("classifier", "source", "as", *kinds), rows=tuple(rows), texts=3)


def calibration(_: Book, facts: Facts) -> Table:
    """What probabilities promise and what test documents are."""
    rows = [
        (row.classifier, f"{row.low:.1f}", f"{row.documents:,}", f"{row.predicted:.3f}", f"{row.observed:.3f}")
        for row in facts.calibration
    ]
    return Table(head=("classifier", "from", "documents", "predicted", "observed"), rows=tuple(rows))


BUILT: dict[str, Callable[[Book, Facts], Table]] = {
    "phases": phases,
    "mixes": mixes,
    "inside": inside,
    "refused": refused,
    "scores": scores,
    "positions": positions,
    "answers": answers,
    "sources": sources,
    "tokens": tokens,
    "drops": drops,
    "leaks": leaks,
    "agreement": agreement,
    "outcomes": outcomes,
    "calibration": calibration,
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


def packing(artifacts: Mapping[str, Manifest]) -> Table:
    """What became of the documents of each phase."""
    keys = ("tokens", "padding", "left_out", "targets", "cut_documents", "truncated_targets")
    rows = [
        (name.removeprefix("mix@"), made.summary["packing"], *(f"{made.summary[key]:,}" for key in keys))
        for name, made in artifacts.items()
        if name.startswith("mix@") and "packing" in made.summary
    ]
    head = ("phase", "packing", "inputs", "padding", "left out", "targets", "documents cut", "targets cut off")
    return Table(head=head, rows=tuple(rows), texts=2)
