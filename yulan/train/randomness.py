"""Random state and thread counts, the same on every rank. Nothing in the loop draws; what is here says so in checkpoints."""

import random

import numpy as np
import torch


def seed_all(seed: int, threads: int) -> None:
    """Seed every generator and fix how many threads a kernel uses: their number changes the last bits of a sum."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        # On CPU nothing changes but the start, by 3 s: it imports the compiler.
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing reads memory before it is written; filling each new buffer with NaN costs as much as a forward pass.
        torch.utils.deterministic.fill_uninitialized_memory = False


def save_random() -> str:
    """Torch's CPU generator as hex."""
    return bytes(torch.get_rng_state().numpy()).hex()


def restore_random(state: str) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray.fromhex(state), dtype=torch.uint8))
