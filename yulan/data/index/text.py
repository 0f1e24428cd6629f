"""Ask the index by a text: a whole document in any of its forms. The one file here that knows how texts are cleaned."""

from collections.abc import Iterator

from yulan import digest
from yulan.data.clean import KINDS, judge
from yulan.data.clean.language import CODE
from yulan.data.clean.privacy import mask
from yulan.data.clean.repair import repair
from yulan.data.index.read import Answer, Form, Index
from yulan.recipe.cleaning import Clean
from yulan.recipe.sources import Source


def ask_text(index: Index, text: str) -> Answer:
    """Look for a whole document: as it is, then as what cleaning makes of it."""
    found = index.ask(digest.of_text(text), "raw")
    for form, other in forms(text):
        if found.leaf is None and (known := index.ask(digest.of_text(other), form)).leaf is not None:
            return known
    return found


def forms(text: str) -> Iterator[tuple[Form, str]]:
    """What cleaning may make of a text: as prose, as code."""
    for code in (False, True):
        repaired = repair(text, code=code)
        yield "cleaned", repaired
        masked, counts = mask(repaired, KINDS)
        if counts:
            yield "masked", masked


def reason(text: str, source: Source, rules: Clean) -> str | None:
    """Why cleaning drops a raw text; None: it does not."""
    repaired, _ = mask(repair(text, code=source.language == CODE), rules.families[source.family].mask)
    return judge([repaired], source, rules)[1][0]
