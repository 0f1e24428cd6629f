"""What the C library does with memory that a step frees."""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2
"""glibc's names, malloc.h."""
LARGEST = 1 << 25
"""Bytes up to which memory is kept: glibc takes no more."""
SPARE = 1 << 26


def keep_freed() -> None:
    """Keep what a step frees for the next one, on a host that trains: by itself glibc gives much of it back to the system,
    and thousands of pages come back zeroed in each step. Nothing, where the C library is another one.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, (1 << 31) - 1), (TOP_PAD, SPARE)):
            library.mallopt(option, value)
