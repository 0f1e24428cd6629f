"""Learn the byte-level BPE from a fixed sample of the decontaminated text, or adopt a published tokenizer."""

from pipelines.stage import Stage, run
from yulan.data import tokenizer
from yulan.data.adopt import adopt
from yulan.data.sources import located_tokenizer, require_pinned


def work(stage: Stage) -> None:
    settings, shards = stage.recipe.data.tokenizer, stage.recipe.data.shards
    if settings.published is not None:
        sources, _ = stage.open("sources")
        path = located_tokenizer(sources.data, settings.published)
        require_pinned(settings.published, path)
        adopt(path, settings, begin_with_bos=shards.begin_with_bos)
        tokenizer.take(path, stage.place.data, settings)
    else:
        text, _ = stage.open("decontaminated")
        sample = tokenizer.sample(text.data, settings.learned.sample_bytes, shards.held_out)
        tokenizer.save(tokenizer.train(sample, settings, begin_with_bos=shards.begin_with_bos), stage.place.data, settings)
    codec = tokenizer.load(stage.place.data, settings, begin_with_bos=shards.begin_with_bos)
    measured = {} if stage.book.sources.textless else {"bytes_per_token": measure(stage, codec)}
    stage.seal(
        keys=("data.tokenizer", "data.shards.held_out", "data.shards.begin_with_bos"),
        summary={"vocab_size": codec.vocab_size} | measured,
    )


def measure(stage: Stage, codec: tokenizer.Codec) -> dict[str, float]:
    """Bytes per token by family of sources."""
    text, _ = stage.open("decontaminated")
    families = {name: source.family for name, source in stage.book.sources.sources.items()}
    return tokenizer.bytes_per_token(text.data, codec, families, 1 << 18, stage.recipe.data.shards.held_out)


if __name__ == "__main__":
    run("tokenizer", work)
