"""Turn the decontaminated text, and published token files, into token shards, a part of them held out."""

from pipelines.stage import Stage, run
from yulan.data import shard, tokenizer
from yulan.data.listed import read_listed
from yulan.data.token_files import Tally, write_token_files
from yulan.schema import plain


def work(stage: Stage) -> None:
    settings, into = stage.recipe.data.shards, stage.place.data
    used = [stage.book.mix(phase) for phase in stage.recipe.phases]
    wanted = {name for mix in used for name, part in mix.sources.items() if part.weight}
    sources = stage.book.sources.sources
    tokenised = {name for name in wanted if sources[name].tokenised}
    made: dict[str, shard.SourceShards] = {}
    tallies: dict[str, Tally] = {}
    textless = stage.book.sources.textless
    if textless and stage.recipe.data.tokenizer.published is None:
        vocabulary = unlearned_vocabulary(stage)
    else:
        known, _ = stage.open("tokenizer")
        codec = tokenizer.load(known.data, stage.recipe.data.tokenizer, begin_with_bos=settings.begin_with_bos)
        vocabulary = shard.Vocabulary(size=codec.vocab_size, eos_id=codec.eos_id, bos_id=codec.bos_id)
        if not textless:
            text, _ = stage.open("decontaminated")
            made |= shard.write_text(text.data, codec, settings, into, wanted=wanted - tokenised)
    if tokenised:
        files, _ = stage.open("sources")
        listed = read_listed(files.data)
        chosen = {name: (str(sources[name].options["column"]), listed.get(name, [])) for name in tokenised}
        published, tallies = write_token_files(chosen, vocabulary, settings, into, stage.book.removed.ids)
        made |= published
    index = shard.write_index(into, vocabulary, made)
    counts = {"token_files": plain(tallies)} if tallies else {}
    stage.seal(keys=("data.shards", "data.tokenizer.bos", "data.tokenizer.eos"), summary=tally(index) | counts)


def unlearned_vocabulary(stage: Stage) -> shard.Vocabulary:
    """What ids mean where no tokenizer was learned, and none is published."""
    settings = stage.recipe.data.tokenizer
    bos, eos = tokenizer.control_ids(settings)
    return shard.Vocabulary(size=settings.vocab_size, eos_id=eos, bos_id=bos if stage.recipe.data.shards.begin_with_bos else None)


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
