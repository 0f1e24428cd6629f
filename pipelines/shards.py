"""Turn the decontaminated text into token shards, a part of it held out."""

from pipelines.stage import Stage, run
from yulan.data import shard, tokenizer


def work(stage: Stage) -> None:
    text, _ = stage.open("decontaminated")
    learned, _ = stage.open("tokenizer")
    settings = stage.recipe.data.shards
    codec = tokenizer.load(learned.data, stage.recipe.data.tokenizer, begin_with_bos=settings.begin_with_bos)
    used = [stage.book.mix(phase) for phase in stage.recipe.phases]
    wanted = {name for mix in used for name, part in mix.sources.items() if part.weight}
    made = shard.write_shards(text.data, codec, settings, stage.place.data, wanted=wanted)
    stage.seal(keys=("data.shards", "data.tokenizer.bos", "data.tokenizer.eos"), summary=tally(made))


def tally(made: shard.Shards) -> dict[str, object]:
    """Documents, tokens and bytes of each source's splits."""
    return {
        name: {
            kind: {"documents": split.documents, "tokens": split.tokens, "bytes": split.bytes}
            for kind, split in (("train", source.train), ("held", source.held))
        }
        for name, source in made.sources.items()
    }


if __name__ == "__main__":
    run("shards", work)
