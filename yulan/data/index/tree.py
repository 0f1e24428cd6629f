"""A Merkle tree as RFC 9162 (2.1) has it, kept level by level so that a path costs one read a level.

The last node of an odd level has no sibling: it stands again on the level above, as it is.
"""

from collections.abc import Iterable, Iterator, Sequence

from yulan import digest

WIDTH = 32
"""Bytes of a hash."""


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Every hash, from the leaves' up to the root's."""
    found = [list(leaves)]
    while len(found[-1]) > 1:
        below = found[-1]
        above = [digest.node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
        found.append(above + below[len(above) * 2 :])
    return found


def sizes(count: int) -> list[int]:
    """Hashes on each level of a tree over `count` leaves."""
    found = [count]
    while found[-1] > 1:
        found.append((found[-1] + 1) // 2)
    return found


def siblings(number: int, count: int) -> Iterator[int]:
    """Where the hashes of a leaf's path stand in the tree's file, counted in hashes."""
    begin = 0
    for size in sizes(count)[:-1]:
        beside = number ^ 1
        if beside < size:
            yield begin + beside
        begin, number = begin + size, number >> 1


def root_of(leaf: bytes, number: int, count: int, path: Iterable[bytes]) -> bytes | None:
    """The root that a leaf's path leads to; None: the path has another length."""
    found, size, rest = digest.leaf(leaf), count, list(path)
    while size > 1:
        if number ^ 1 < size:
            if not rest:
                return None
            beside = rest.pop(0)
            found = digest.node(beside, found) if number & 1 else digest.node(found, beside)
        number, size = number >> 1, (size + 1) // 2
    return None if rest else found
