"""A final answer out of a text, and without what is only typography."""

import re

BOXED = re.compile(r"\\f?boxed\s*\{")
UNICODE = str.maketrans(
    {"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ",
     "√": "\\sqrt ", "°": "", "∪": "\\cup ", "²": "^2", "³": "^3", "（": "(", "）": ")", "，": ","}
)  # fmt: skip
SPACES = re.compile(r"\\[,;:! ]|\\q?quad\b|~|\$|\\\(|\\\)|\\\[|\\\]|\\displaystyle\b|\\(?:left|right|big|Big)(?![A-Za-z])")
UNITS = re.compile(r"\\(?:text|mathrm|textrm|mbox|textbf|mathbf)\s*\{([^{}]*)\}")
BETWEEN = re.compile(r"\\text\s*\{\s*(?:and|or)\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")


def boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{}` whose braces close; None: there is none."""
    for found in reversed(list(BOXED.finditer(text))):
        depth = 1
        for at in range(found.end(), len(text)):
            depth += (text[at] == "{") - (text[at] == "}")
            if depth == 0:
                return text[found.end() : at].strip()
    return None


def tidy(answer: str) -> str:
    """Without dollars, spacing commands, units, degree and per-cent signs and a final full stop."""
    text = answer.translate(UNICODE)
    text = BETWEEN.sub(",", text)
    text = SPACES.sub(" ", text)
    only = UNITS.fullmatch(text.strip())
    text = only[1] if only else UNITS.sub(" ", text)
    text = re.sub(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree\b|\\?%", "", text)
    text = re.sub(r"\\[dt]frac\b", r"\\frac", text)
    # `\frac 1 2` and `\sqrt 2` keep their space; `\frac12` needs none.
    return " ".join(text.split()).rstrip(".").strip()
