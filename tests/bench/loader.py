"""Tokens per second of one core, from the page cache to what the model takes: `python -m tests.bench.loader`.

200 M ids of documents of 665 on average (log-normal) go through the real writers. Ours reads a rank's share of a step of
the real recipe, 21 windows of 4,097 in micro-batches of 3 (or as many ids in windows of 513): ids, targets without loss
across documents, their bounds and positions, flattened as the engine wants them. The first peer is nanoGPT's `get_batch`
over numpy's memmap: ids and targets, no documents; the second torch's DataLoader over the same windows. Each round reads
windows that were not read before. Counted is the processor time of the one thread, which other processes cannot take.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.bench import pairs
from tests.bench.pairs import Aim, Line
from tests.bench.peers import loaders
from yulan.data.batch import Batches
from yulan.data.order import Order
from yulan.data.pack import Pack, write_pack
from yulan.data.shard import Shards, SourceShards, Vocabulary, open_splits
from yulan.data.spans import Span, cut_segments
from yulan.train.memory import keep_freed

TOKENS, SHARD, VOCABULARY, EOS = 200_000_000, 100_000_000, 99_000, 2
SHARE, GRID = 21 * 4096, 7
"""Tokens and micro-batches that one of 48 ranks reads in a step of the real recipe."""
ROUNDS, STEPS = 40, 10
"""Each round reads so many steps."""
SEEKS = 200


def write_corpus(into: Path, *, tokens: int, vocabulary: int, documents: float) -> Shards:
    """One source, by the writer that makes every shard; documents are exp(normal(`documents`, 1)) ids long."""
    made, draw = Vocabulary(size=vocabulary, eos_id=EOS, bos_id=None), np.random.default_rng(2)
    with open_splits(into, "web", made, SHARD) as splits:
        while splits["train"].tokens < tokens:
            lengths = draw.lognormal(documents, 1.0, 4096).astype(int).clip(2, 100_000)
            ids = draw.integers(EOS + 1, vocabulary, int(lengths.sum()))
            ids[np.cumsum(lengths) - 1] = EOS
            splits["train"].add([f"{n}" for n in range(4096)], ids, lengths, 0)
        source = SourceShards(train=splits["train"].close(), held=splits["held"].close())
    return Shards(format=1, dtype=made.dtype, vocab_size=vocabulary, eos_id=EOS, bos_id=None, sources={"web": source})


def open_batches(folder: Path, shards: Shards, context: int) -> Batches:
    mix = folder / f"mix-{context}"
    spans = {"web": Span(quota=TOKENS // context * context, start=0, repeated=0)}
    write_pack(mix, context=context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
    pack = Pack.open(mix, folder)
    return Batches(pack=pack, order=Order(windows=pack.windows, key="bench"), batch=SHARE // context, grid=GRID)


def stepper(read: Callable[[int], object], batches: Batches) -> Callable[[], None]:
    """Each call reads the next steps of the phase, and begins again at its end."""
    at = 0

    def work() -> None:
        nonlocal at
        for _ in range(STEPS):
            at = at if at + batches.batch <= batches.pack.windows else 0
            read(at)
            at += batches.batch

    return work


def consume(batches: Batches, consumed: int) -> list[torch.Tensor]:
    """What the engine makes of a step before it calls the model."""
    return [
        torch.from_numpy(each.reshape(-1))
        for micro in batches.micros(consumed, range(GRID))
        for each in (micro.inputs, micro.positions, micro.cu_seqlens, micro.targets)
    ]


def speed(folder: Path, shards: Shards, context: int, aim: float) -> list[Line]:
    batches = open_batches(folder, shards, context)
    files = [folder / file.path for file in shards.sources["web"].train.files]
    peers = {
        "nanoGPT": loaders.nano_gpt(files, context, batches.batch),
        "DataLoader": loaders.torch_loader(files, context, batches.batch),
    }
    work = {"ours": stepper(lambda at: consume(batches, at), batches)}
    work |= {name: stepper(read, batches) for name, read in peers.items()}
    times = pairs.interleave(work, ROUNDS, warmup=2, clock=time.thread_time)
    rates = {name: STEPS * batches.batch * context / each / 1e6 for name, each in times.items()}
    least, name = Aim(at="least", value=aim), f"loader, windows of {context + 1:,}"
    lines = [pairs.figure(f"{name}: M tokens/s per core", rates["ours"], told=_rate, aim=least)]
    return lines + [pairs.ratio(f"{name} against {peer}", rates["ours"], rates[peer], told=_rate, aim=None) for peer in peers]


def _rate(millions: float) -> str:
    return f"{millions:,.0f} M/s"


def seek(folder: Path, shards: Shards) -> Line:
    """A seek is the first micro-batch at a place where nobody was, on a phase that has just been opened."""
    batches, draw = open_batches(folder, shards, 4096), np.random.default_rng(3)
    span = batches.pack.windows // 100 - batches.batch

    def near(percent: int) -> Callable[[], object]:
        def go() -> object:
            fresh = Batches(
                pack=batches.pack,
                order=Order(windows=batches.pack.windows, key=str(draw.integers(1 << 60))),
                batch=batches.batch,
                grid=GRID,
            )
            return fresh.micro(batches.pack.windows * percent // 100 + int(draw.integers(span)), 0)

        return go

    times = pairs.interleave({"late": near(99), "early": near(1)}, SEEKS, warmup=10, clock=time.thread_time)
    # As fast: what is left is the noise of a clock.
    return pairs.ratio(
        "seek at 99 % against 1 % of a phase",
        times["late"],
        times["early"],
        told=pairs.milliseconds,
        aim=Aim(at="most", value=1.05),
    )


def lines() -> list[Line]:
    torch.set_num_threads(1)
    # As a trainer on a CPU does; it serves all contenders.
    keep_freed()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("loader: writing 200 M ids ...", file=sys.stderr)
        shards = write_corpus(folder, tokens=TOKENS + 1, vocabulary=VOCABULARY, documents=6.0)
        return [*speed(folder, shards, 4096, 400), *speed(folder, shards, 512, 100), seek(folder, shards)]


if __name__ == "__main__":
    pairs.show(lines())
