"""The process in which sympy compares two trees: JSON lines in, one word a line out. Trees are built by name, never parsed."""

import itertools
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import sympy

MEMORY = 2 << 30
"""Bytes of address space: a tower of powers ends in a MemoryError or at the time limit."""
POINTS = (sympy.Rational(3, 7), sympy.Rational(11, 5), sympy.Rational(-13, 9), sympy.Rational(17, 4))
CALLS: Mapping[str, Callable[..., Any]] = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "sinh": sympy.sinh, "cosh": sympy.cosh,
    "tanh": sympy.tanh, "ln": sympy.log, "log": sympy.log, "exp": sympy.exp, "sqrt": sympy.sqrt, "root": sympy.root,
    "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling, "min": sympy.Min, "max": sympy.Max, "gcd": sympy.gcd,
    "lcm": sympy.lcm, "factorial": sympy.factorial, "binomial": sympy.binomial,
}  # fmt: skip
CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo, "nothing": sympy.Symbol("nothing")}
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}


def build(tree: Any, sign: int = 1) -> Any:
    """A sympy expression; `sign` is which of a ± is meant."""
    kind, *parts = tree
    if kind == "number":
        return sympy.Rational(parts[0])
    if kind == "symbol":
        return sympy.Symbol(parts[0])
    if kind == "constant":
        return CONSTANTS[parts[0]]
    if kind == "call":
        return CALLS[parts[0]](*(build(part, sign) for part in parts[1:]))
    made = [build(part, sign) for part in parts]
    if kind == "negate":
        return -made[0]
    if kind == "either":
        return sign * made[0]
    if kind == "add":
        return made[0] + made[1]
    if kind == "multiply":
        return made[0] * made[1]
    if kind == "divide":
        return made[0] / made[1]
    if kind == "power":
        return made[0] ** made[1]
    raise ValueError(kind)


def unfolded(tree: Any) -> Any:
    """`a ± b` as the set of both."""
    if tree[0] in ("several", "relation", "word", "built"):
        return [*tree[:3], *(unfolded(part) for part in tree[3:])] if tree[0] == "several" else tree
    if '"either"' not in json.dumps(tree):
        return tree
    return ["several", "{", "}", ["built", tree, 1], ["built", tree, -1]]


def compare(one: Any, other: Any) -> str:
    one, other = unfolded(one), unfolded(other)
    if one[0] == "relation" == other[0]:
        pairs = [(one[1], one[2], one[3])]
        pairs.append((FLIPPED[one[1]], one[3], one[2]))
        found = [both(compare(left, other[2]), compare(right, other[3])) for sign, left, right in pairs if sign == other[1]]
        return best(found)
    if one[0] == "several" == other[0]:
        return _several(one, other)
    if "word" in (one[0], other[0]):
        return "same" if one == other else "different"
    if "several" in (one[0], other[0]) or "relation" in (one[0], other[0]):
        return "different"
    return equal(*(build(tree[1], tree[2]) if tree[0] == "built" else build(tree) for tree in (one, other)))


def _several(one: Any, other: Any) -> str:
    """Ordered in round and square brackets; else some order of the one must fit the other."""
    if one[1:3] != other[1:3] or len(one) != len(other):
        return "different"
    if one[1] in "([":
        return both(*(compare(a, b) for a, b in zip(one[3:], other[3:], strict=True)))
    if len(one) > 3 + 6:
        return "unproved"
    grid = [[compare(a, b) for b in other[3:]] for a in one[3:]]
    orders = itertools.permutations(range(len(grid)))
    return best([both(*(grid[i][j] for i, j in enumerate(order))) for order in orders])


def both(*verdicts: str) -> str:
    return "different" if "different" in verdicts else "unproved" if "unproved" in verdicts else "same"


def best(verdicts: list[str]) -> str:
    return next((each for each in ("same", "unproved") if each in verdicts), "different")


def equal(one: Any, other: Any) -> str:
    """Values at a few points tell most differences; what is left must simplify to 0."""
    if one == other:
        return "same"
    if not (one.is_finite is not False and other.is_finite is not False):
        return "different"
    difference = one - other
    names = sorted(difference.free_symbols, key=str)
    for at in range(len(POINTS) if names else 1):
        chosen = {name: POINTS[(at + i) % len(POINTS)] + i for i, name in enumerate(names)}
        value = sympy.N(difference.subs(chosen), 30)
        if value.is_number and value.is_finite and abs(value) > sympy.Float("1e-20"):
            return "different"
    return "same" if sympy.simplify(difference) == 0 else "unproved"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        # Whole seconds, counted from its start; the signal ends it even inside sympy's integers, and when nobody waits any more.
        limit = math.ceil(time.process_time()) + int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            said = compare(*json.loads(line))
        except Exception:
            # Whatever sympy makes of such an answer: it has no value that could be compared.
            said = "unread"
        print(said, flush=True)


if __name__ == "__main__":
    main()
