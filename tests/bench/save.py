"""How long a save holds up the training: `python -m tests.bench.save`, one process, 516 MB, interleaved."""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from yulan.layout import find_root
from yulan.model.shape import count, parameters
from yulan.recipe import load_recipe
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.standing import standing
from yulan.train.checkpoint.stream import KINDS
from yulan.train.checkpoint.write import retain, write_checkpoint

ROUNDS = 7
WIDE = {"vocab_size": 2000, "hidden_size": 512, "layers": 10, "heads": 8, "kv_heads": 8, "head_dim": 64, "ffn_size": 2048}


def main() -> None:
    torch.set_num_threads(1)
    nano = load_recipe(find_root(), "nano").recipe
    tokenizer = replace(nano.data.tokenizer, vocab_size=WIDE["vocab_size"])
    recipe = replace(nano, model=replace(nano.model, **WIDE), data=replace(nano.data, tokenizer=tokenizer))
    every = parameters(recipe.model)
    numbers = {(p.name, kind): torch.randn(p.size) for p in every for kind in KINDS}
    state = standing(recipe, "phase-01", 4, 4, at_end=False)

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        return 0, numbers[name, kind]

    saver, whole, stall = Saver(), [], []
    saver.snapshot(every, fragment)
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=find_root()) as name:
            began = time.perf_counter()
            write_checkpoint(Path(name) / "step-000004", state, every, fragment)
            retain(Path(name), 4, keep=1, every=1, begin=0)
            whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        saver.snapshot(every, fragment)
        stall.append(time.perf_counter() - began)
    size = 12 * count(recipe.model) / 1e6
    written, copied = statistics.median(whole), statistics.median(stall)
    print(f"{size:,.0f} MB: {written:.2f} s to write and read back, {copied:.2f} s to copy, {copied / written:.1%}")


if __name__ == "__main__":
    main()
