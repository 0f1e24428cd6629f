"""Learn the byte-level BPE from a fixed sample of the decontaminated text."""

from pipelines.stage import Stage, run
from yulan.data import tokenizer


def work(stage: Stage) -> None:
    text, _ = stage.open("decontaminated")
    settings, shards = stage.recipe.data.tokenizer, stage.recipe.data.shards
    sample = tokenizer.sample(text.data, settings.sample_bytes, shards.held_out)
    made = tokenizer.train(sample, settings, begin_with_bos=shards.begin_with_bos)
    tokenizer.save(made, stage.place.data, settings)
    codec = tokenizer.load(stage.place.data, settings, begin_with_bos=shards.begin_with_bos)
    families = {name: source.family for name, source in stage.book.sources.sources.items()}
    stage.seal(
        keys=("data.tokenizer", "data.shards.held_out", "data.shards.begin_with_bos"),
        summary={
            "vocab_size": codec.vocab_size,
            "bytes_per_token": tokenizer.bytes_per_token(text.data, codec, families, 1 << 18, shards.held_out),
        },
    )


if __name__ == "__main__":
    run("tokenizer", work)
