"""Choose a phase's tokens and cut them into windows."""

from collections import Counter

from pipelines.stage import Stage, run
from yulan.data.pack import HEADER, Ints, read_header
from yulan.data.packing import index_phase
from yulan.data.shard import DOCUMENTS, INDEX, document_starts, read_shards
from yulan.data.spans import Span
from yulan.errors import StateError
from yulan.recipe import INIT


def work(stage: Stage) -> None:
    if stage.phase is None:
        raise StateError("mix needs a phase", cure="Run it as: dvc repro mix@phase-01")
    phase = stage.recipe.phase(stage.phase)
    place, _ = stage.open("shards", only=[INDEX])
    shards = read_shards(place.data)
    taken = {} if phase.after == INIT else read_header(stage.open("mix", phase.after, only=[HEADER])[0].data).sources

    def starts(name: str) -> Ints:
        stage.open("shards", only=[f"{name}/train/{DOCUMENTS}"])
        return document_starts(place.data, name)

    made = index_phase(
        stage.place.data,
        packing=phase.packing,
        portions=stage.book.mix(stage.phase),
        windows=phase.windows,
        context=phase.context,
        shards=shards,
        starts=starts,
        taken=taken,
    )
    used = {name: span for name, span in made.header.sources.items() if span.quota}
    stage.seal(
        keys=[f"phases.{stage.phase}.{key}" for key in ("after", "mix", "tokens", "context", "packing", "batch")],
        summary=made.summary
        | {
            "dropped": phase.dropped,
            "repeated": sum(span.repeated for span in used.values()),
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
