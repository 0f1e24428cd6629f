"""Our stage `shards` against datatrove's tokenizer, Parquet to token files: `python -m tests.bench.tokens`, after `make peers`.

The same pages, the same tokenizer.json, each side with all the cores that its library takes; theirs does not shuffle. They take
turns; the first round and starting up are not counted. Ids are compared one by one with those of the `tokenizers` library.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.bench import pairs
from tests.bench.pages import pages
from tests.bench.pairs import Aim
from tests.bench.turns import Turn, Watch, in_turns, told
from yulan import digest
from yulan.data import frames, tokenizer
from yulan.data.quick import quicken
from yulan.data.shard import write_text
from yulan.data.tokenizer import Codec
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.corpus import Shards

SOURCE = "web"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=60, help="of pages; equal ones are left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="1 MB, one round")
    asked, root = parser.parse_args(), find_root()
    megabytes, rounds = (1, 1) if asked.quick else (asked.megabytes, asked.rounds)
    folder, settings = root / ".cache/peers/tokens", load_recipe(root, "nano").recipe.data
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "artifacts/nano/tokenizer/data", folder / "tokenizer")
    texts = list(dict.fromkeys(pages(root / "artifacts/nano/raw/data", megabytes, seed=1)))
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows = sorted((digest.of_text(text), text, SOURCE) for text in texts)
    table = pa.Table.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], schema=frames.DOCUMENTS)
    frames.write_part(folder / "text" / SOURCE / "00000.parquet", table)
    codec = tokenizer.load(folder / "tokenizer", settings.tokenizer, begin_with_bos=False)
    whole = Shards(tokens=100_000_000, held_out=0, begin_with_bos=False)

    def ours() -> Turn:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        with Watch() as watch:
            write_text(folder / "text", codec, whole, folder / "ours", wanted=[SOURCE])
        return watch.turn

    def theirs() -> Turn:
        command = [
            root / ".cache/peers/bin/python",
            root / "tests/bench/peers/datatrove_tokens.py",
            folder,
            settings.tokenizer.eos,
        ]
        return told(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    lines = in_turns(
        "tokenise, Parquet to token files", {"ours": ours, "datatrove": theirs}, size, rounds, Aim(at="least", value=3)
    )
    print(f"{len(texts):,} texts, {size:.1f} MB; quick: {quicken(codec).quick is not None}; {compared(folder, codec, texts)}")
    print(pairs.head())
    pairs.show(lines)


def compared(folder: Path, codec: Codec, texts: list[str]) -> str:
    """Our shards and their file against the library's own ids."""
    known = codec.encode(sorted(texts, key=digest.of_text))[0]
    files = sorted((folder / "ours" / SOURCE / "train").glob("tokens-*.bin"))
    mine = np.concatenate([np.fromfile(path, "<u2") for path in files])
    (path,) = (folder / "theirs" / "all").glob("*.ds")
    other = np.fromfile(path, "<u2")
    equal = [np.array_equal(known, each) for each in (mine, other)]
    return f"{len(known):,} ids, ours equal to the library's: {equal[0]}, theirs: {equal[1]}"


if __name__ == "__main__":
    main()
