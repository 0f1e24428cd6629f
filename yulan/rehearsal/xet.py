"""Xet, as far as the stock client needs it."""

from yulan.rehearsal.store import Store


def xet_hash(store: Store, sha256: str) -> str | None:
    """Xet's own name of a large file, where it is known."""
    return None
