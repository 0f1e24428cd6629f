"""From rates measured here to a corpus of the real run's size on a cluster: `python -m tests.bench.scale [--megabytes 4]`.

Rates are measured, in one process and by its processor time, on pages made of nano's raw text. Everything else is arithmetic on
them and on the figures of the options, which are assumptions: they are printed with the result. docs/scale.md says what it means.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from tests.bench.filters import ours
from tests.bench.pages import pages
from tests.bench.turns import Watch
from yulan import digest
from yulan.data import frames, tokenizer
from yulan.data.benchmarks import Item
from yulan.data.decontaminate import decontaminate
from yulan.data.dedup import peak_bytes
from yulan.data.dedup.minhash import find_copies
from yulan.data.fit import best_fit
from yulan.data.quick import quicken
from yulan.data.shard import write_text
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.corpus import Shards

QUESTION = "which planet of the sun is called the red one by all who look at it"


def rates(root: Path, megabytes: float) -> dict[str, float]:
    """MB of text a second of one core, by stage; pack and order in millions of documents."""
    data, texts = load_recipe(root, "nano").recipe.data, pages(root / "artifacts/nano/raw/data", megabytes, seed=1)
    texts = list(dict.fromkeys(texts))
    size = sum(len(text.encode()) for text in texts) / 1e6
    item = Item(id="q", question=QUESTION, choices=("Venus", "Mars"), answer=1)
    codec = tokenizer.load(root / "artifacts/nano/tokenizer/data", data.tokenizer, begin_with_bos=False)
    quicken(codec)
    find_copies(texts[:10], data.dedup)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=root / ".cache") as place:
        folder = Path(place)
        with Watch() as watch:
            rows = sorted((digest.of_text(text), text, "web") for text in texts)
            columns = [frames.pa.array(column) for column in zip(*rows, strict=True)]
            frames.write_part(folder / "raw/web/00000.parquet", frames.pa.Table.from_arrays(columns, schema=frames.DOCUMENTS))
        found["raw"] = size / watch.turn.processor
        found["clean"] = size / ours(root, texts)[1].processor
        with Watch() as watch:
            find_copies(texts, data.dedup)
        found["dedup"] = size / watch.turn.processor
        with Watch() as watch:
            decontaminate({"quiz": [item]}, data.decontaminate, folder / "raw", folder / "decontaminated")
        found["decontaminated"] = size / watch.turn.processor
        settings = Shards(tokens=100_000_000, held_out=0, begin_with_bos=False)
        with Watch() as watch:
            write_text(folder / "raw", codec, settings, folder / "shards", wanted=[])
        found["shards"] = size / watch.turn.processor
        shutil.rmtree(folder / "shards")
    lengths = np.random.default_rng(0).integers(2, 4097, 1_000_000)
    with Watch() as watch:
        best_fit(lengths, 4096)
    found["mix (M documents)"] = 1 / watch.turn.processor
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--tokens", type=float, default=1.08e12)
    parser.add_argument("--bytes-per-token", type=float, default=4.0)
    parser.add_argument("--document", type=float, default=3000, help="bytes of text in a document")
    parser.add_argument("--kept", type=float, default=0.35, help="share of the text that cleaning leaves")
    parser.add_argument("--unique", type=float, default=0.8, help="share of it that de-duplication leaves")
    parser.add_argument("--packed", type=float, default=0.45, help="bytes of Parquet for a byte of text")
    parser.add_argument("--cores", type=int, default=1024)
    parser.add_argument("--node", type=int, default=64, help="cores of a node")
    asked, root = parser.parse_args(), find_root()
    found = rates(root, asked.megabytes)
    last = asked.tokens * asked.bytes_per_token
    cleaned = last / asked.unique
    text = {"raw": cleaned / asked.kept, "clean": cleaned / asked.kept, "dedup": cleaned, "decontaminated": last, "shards": last}
    print(", ".join(f"{name} {value:g}" for name, value in sorted(vars(asked).items())))
    head = f"{'stage':16} {'MB/s a core':>12} {'text in, TB':>12} {'core-hours':>12} {'hours':>8} {'written, TB':>12}"
    print(head)
    hours = moved = disk = 0.0
    for stage, size in text.items():
        took = size / 1e6 / found[stage] / 3600
        kept = {"clean": cleaned, "dedup": last}.get(stage, size) * asked.packed
        # Ids are uint32 above 65,536 entries.
        written = 4 * asked.tokens if stage == "shards" else kept
        hours, moved, disk = hours + took, moved + size * asked.packed + written, disk + written
        print(
            f"{stage:16} {found[stage]:12.2f} {size / 1e12:12.2f} {took:12,.0f} {took / asked.cores:8.1f} {written / 1e12:12.2f}"
        )
    documents = {name: size / asked.document for name, size in (("cleaned", cleaned), ("last", last))}
    packing = documents["last"] / 1e6 / found["mix (M documents)"] / 3600
    print(f"{'mix':16} {found['mix (M documents)']:10.2f} M {'documents':>12} {packing:12,.2f} {'':8} one process a phase")
    nodes = asked.cores / asked.node
    print(f"together {hours:,.0f} core-hours, {hours / asked.cores:,.1f} hours on {asked.cores:,} cores")
    print(f"disk: {disk / 1e12:.1f} TB")
    rate = moved / nodes / (hours / asked.cores * 3600) / 1e6
    print(f"network: {moved / 1e12:.1f} TB read and written, {rate:,.0f} MB/s a node of {asked.node} cores while it lasts")
    rules = load_recipe(root, "nano").recipe.data.dedup
    each = peak_bytes(round(asked.document), rules)
    peak = documents["cleaned"] * each
    print(
        f"memory of de-duplication at its peak, in one process: {documents['cleaned']:,.0f} documents x {each:,} bytes ="
        f" {peak / 1e12:.1f} TB; 2 TB take {cleaned * 2e12 / peak / 1e12:.2f} TB of text at a time"
    )
    print(f"memory of a mix of 40 B tokens: {documents['last'] * 40e9 / asked.tokens * 60 / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
