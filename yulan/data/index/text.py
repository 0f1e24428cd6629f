"""Ask the index by a text: a whole document in any of its forms."""

from yulan import digest
from yulan.data.clean import CODE, MANY, repair
from yulan.data.index.read import Answer, Index


def ask_text(index: Index, text: str) -> Answer:
    """Look for a whole document: as it is, then as what cleaning makes of it."""
    found = index.ask(digest.of_text(text), "raw")
    if found.leaf is not None:
        return found
    for language in (MANY, CODE):
        other = index.ask(digest.of_text(repair(text, language)), "cleaned")
        if other.leaf is not None:
            return other
    return found
