"""Repetition inside a document: of equal long lines the first stays. Maths in TeX and fenced code are left alone."""

from yulan.data.clean.repair import blocks, join_lines


def read_once(text: str, min_chars: int) -> tuple[str, int]:
    """The text without lines of at least `min_chars` characters that stand earlier in it, and how many there were.

    >>> read_once("a long line\\nshort\\na long line\\nend", 10)
    ('a long line\\nshort\\nend', 1)
    """
    if len(text) < 2 * min_chars or "\n" not in text:
        return text, 0
    lines: list[str | None] = list(text.split("\n"))
    long = [line for line in lines if line is not None and len(line) >= min_chars]
    if len(set(long)) == len(long):
        return text, 0
    intact, start, seen, count = blocks(text), 0, set[str](), 0
    for at, line in enumerate(text.split("\n")):
        end = start + len(line)
        if len(line) >= min_chars and not any(begin < end and start < stop for begin, stop in intact):
            if line in seen:
                lines[at] = None
                count += 1
            seen.add(line)
        start = end + 1
    return (join_lines(lines), count) if count else (text, 0)
