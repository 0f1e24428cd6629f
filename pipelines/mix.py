"""Choose a phase's tokens and cut them into windows."""

from collections import Counter

from pipelines.stage import Stage, run
from yulan.data import trace
from yulan.data.pack import HEADER, read_header, write_pack
from yulan.data.shard import DOCUMENTS, INDEX, document_starts, read_shards
from yulan.data.spans import Span, cut_segments, plan_spans
from yulan.errors import StateError
from yulan.recipe import INIT


def work(stage: Stage) -> None:
    if stage.phase is None:
        raise StateError("mix needs a phase", cure="Run it as: dvc repro mix@phase-01")
    phase = stage.recipe.phase(stage.phase)
    place, _ = stage.open("shards", only=[INDEX])
    shards = read_shards(place.data)
    taken = {} if phase.after == INIT else read_header(stage.open("mix", phase.after, only=[HEADER])[0].data).sources
    spans = plan_spans(stage.book.mix(stage.phase), phase.steps * phase.step_tokens, shards, taken)
    header = write_pack(stage.place.data, context=phase.context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
    used = {name: span for name, span in spans.items() if span.quota}
    stage.open("shards", only=[f"{name}/train/{DOCUMENTS}" for name in used])
    starts = {name: document_starts(place.data, name) for name in used}
    sizes = {name: shards.sources[name].train.tokens for name in used}
    stage.seal(
        keys=[f"phases.{stage.phase}.{key}" for key in ("after", "mix", "tokens", "context", "batch")],
        summary={
            "windows": header.windows,
            "tokens": header.tokens,
            "padding": header.padding,
            "dropped": phase.dropped,
            "repeated": sum(span.repeated for span in used.values()),
            "cut_documents": trace.count_cut(used, starts, sizes, phase.context),
            "sources": {name: span.quota for name, span in used.items()},
            "families": shares(stage, used, "family"),
            "languages": shares(stage, used, "language"),
        },
    )


def shares(stage: Stage, used: dict[str, Span], key: str) -> dict[str, int]:
    """Tokens by a property of the sources."""
    found = Counter[str]()
    for name, span in used.items():
        found[getattr(stage.book.sources.sources[name], key)] += span.quota
    return dict(sorted(found.items()))


if __name__ == "__main__":
    run("mix", work)
