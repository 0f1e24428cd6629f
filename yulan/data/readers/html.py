"""Text of an HTML page as a reader sees it: blocks on lines of their own, without scripts, navigation and forms.

lxml reads the page as browsers do, whatever is wrong with it. What the main content is, is not guessed: the filters of `clean`
judge what is left.
"""

import re
from typing import Any

UNSEEN = frozenset(
    """script style noscript template svg math iframe object head nav footer aside form button select
    textarea""".split()  # noqa: SIM905 - a wall of quotes
)
BLOCKS = frozenset(
    """address article blockquote body caption center dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header hr
    li main ol p pre section summary table tbody tfoot thead tr ul""".split()  # noqa: SIM905
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_LINE = re.compile(r"[ \t]*\n[ \t\n]*")


def text_of(page: bytes, charset: str | None) -> str:
    """The text of a page, or nothing if it has none. `charset` is the transfer's; without it the page's own counts."""
    from lxml import etree

    parser = etree.HTMLParser(encoding=charset, no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        root = etree.fromstring(page, parser)
    except (etree.XMLSyntaxError, ValueError, AssertionError):
        return ""
    if root is None:
        return ""
    pieces: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end"))
    preformatted = 0
    for event, element in walk:
        name = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            if name in UNSEEN or not name:
                walk.skip_subtree()
                continue
            preformatted += name == "pre"
            pieces += [_edge(name), _said(element.text, preformatted)]
        else:
            preformatted -= name == "pre"
            pieces += [_edge(name) if name not in UNSEEN else "", _said(element.tail, preformatted)]
    return _joined(pieces)


def _edge(name: str) -> str:
    return "\n" if name in BLOCKS or name == "br" else " " if name in ("td", "th") else ""


def _said(text: Any, preformatted: int) -> str:
    # A line end inside preformatted text stays one: it is marked until lines are joined.
    return "" if not text else str(text).replace("\n", "\v") if preformatted else _SPACE.sub(" ", str(text))


def _joined(pieces: list[str]) -> str:
    return _LINE.sub("\n", re.sub(" +", " ", "".join(pieces))).replace("\v", "\n").strip()
