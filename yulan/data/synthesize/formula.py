"""Final answers as trees: a small grammar of LaTeX and of what people type. Nothing is evaluated here.

sympy's own ways in are no choice: `sympify` and `parse_expr` run Python, `parse_latex` needs a parser generator.

A tree is a list whose first item says what it is: ["number", "3/4"], ["symbol", "x_1"], ["constant", "pi"],
["add" | "multiply" | "power" | "divide", a, b], ["negate", a], ["call", name, a, ...], ["several", "{", "}", a, ...],
["either", a], ["relation", "<", a, b], ["word", "yes"].
"""

import re
from typing import Any

from yulan.data.synthesize.tidy import tidy

Tree = list[Any]
LONGEST = 2000
"""Characters of an answer that is read."""
DEEPEST = 60
TOKEN = re.compile(r"\\[A-Za-z]+|\\[{}|]|\d+(?:\.\d+)?|\.\d+|\*\*|<=|>=|!=|[A-Za-z]+|\S")
THOUSANDS = re.compile(r"(?<![\d.,(\[{])\d{1,3}(?:,\d{3})+(?![\d,])")
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp sqrt abs floor ceil min max gcd lcm".split()  # noqa: SIM905
)
CONSTANTS = {"\\pi": "pi", "pi": "pi", "e": "e", "i": "i", "\\infty": "infinity", "infinity": "infinity", "\\emptyset": "nothing"}
RELATIONS = {"<": "<", ">": ">", "\\le": "<=", "\\leq": "<=", "<=": "<=", "\\ge": ">=", "\\geq": ">=", ">=": ">="}
RELATIONS |= {"\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=", "!=": "!="}
OPENING = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}
TIMES = {"*", "\\cdot", "\\times"}
OVER = {"/", "\\div"}
ENDS = frozenset({")", "]", "}", "\\}", ",", ";", "|", "=", "\\cup", "\\in", *RELATIONS, "+", "-", "\\pm", *OVER, *TIMES})


class Unread(ValueError):
    """Not an answer that the grammar knows."""


def read(answer: str) -> Tree:
    """Raises: Unread."""
    if len(answer) > LONGEST:
        raise Unread("long")
    text = tidy(answer)
    if re.fullmatch(r"[A-Za-z][A-Za-z ]{2,}", text) and text.lower() not in FUNCTIONS | set(CONSTANTS):
        return ["word", " ".join(text.lower().split())]
    text = THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    reader = _Reader(TOKEN.findall(text))
    tree = reader.whole()
    if reader.at < len(reader.tokens):
        raise Unread(f"at {reader.peek()!r}")
    return tree


class _Reader:
    """Recursive descent; `depth` bounds it."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        if not token or (wanted and token not in wanted):
            raise Unread(f"{token!r} where {' or '.join(wanted) or 'something'} should be")
        self.at += 1
        return token

    def whole(self) -> Tree:
        """`x = 1 or x = 2`, `a, b`, `(1, 2] \\cup {3}`, `x < 3`: what stands on the left of the last = is a name."""
        parts = [self.side()]
        while self.peek() in (",", ";"):
            self.take()
            parts.append(self.side())
        return parts[0] if len(parts) == 1 else ["several", "{", "}", *parts]

    def side(self) -> Tree:
        left = self.union()
        while self.peek() in ("=", "\\in"):
            self.take()
            left = self.union()
        if self.peek() in RELATIONS:
            sign = RELATIONS[self.take()]
            right = self.union()
            left = ["relation", sign, left, right]
            if self.peek() in RELATIONS:
                again = RELATIONS[self.take()]
                left = ["several", "&", "&", left, ["relation", again, right, self.union()]]
        return left

    def union(self) -> Tree:
        parts = [self.sum()]
        while self.peek() == "\\cup":
            self.take()
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else ["several", "U", "U", *parts]

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unread("deep")
        tree = self.product()
        while self.peek() in ("+", "-", "\\pm"):
            sign = self.take()
            right = self.product()
            tree = ["add", tree, ["negate", right] if sign == "-" else ["either", right] if sign == "\\pm" else right]
        self.depth -= 1
        return tree

    def product(self) -> Tree:
        tree = self.signed()
        while (token := self.peek()) and (token in TIMES | OVER or token not in ENDS):
            if token in OVER:
                self.take()
                tree = ["divide", tree, self.signed()]
            elif token in TIMES:
                self.take()
                tree = ["multiply", tree, self.signed()]
            elif token == "\\frac" and tree[0] == "number" and tree[1].isdigit() and self.tokens[self.at - 1] == tree[1]:
                tree = self._mixed(tree)
            elif re.match(r"[\d.]", token):
                raise Unread("two numbers side by side")
            else:
                tree = ["multiply", tree, self.power()]
        return tree

    def _mixed(self, whole: Tree) -> Tree:
        """3\\frac{1}{2} is three and a half; 3\\frac{x}{2} a product."""
        fraction = self.power()
        simple = fraction[0] == "divide" and all(part[0] == "number" and part[1].isdigit() for part in fraction[1:])
        return ["add" if simple else "multiply", whole, fraction]

    def signed(self) -> Tree:
        sign = self.peek()
        if sign not in ("-", "+", "\\pm"):
            return self.power()
        self.take()
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unread("deep")
        inner = self.signed()
        self.depth -= 1
        return ["negate", inner] if sign == "-" else ["either", inner] if sign == "\\pm" else inner

    def power(self) -> Tree:
        tree = self.atom()
        while self.peek() == "!":
            self.take()
            tree = ["call", "factorial", tree]
        if self.peek() in ("^", "**"):
            self.take()
            tree = ["power", tree, self.signed()]
        return tree

    def atom(self) -> Tree:
        token = self.take()
        if re.match(r"[\d.]", token):
            return ["number", token]
        if token in CONSTANTS:
            return ["constant", CONSTANTS[token]]
        name = token.removeprefix("\\")
        if name in ("frac", "binom"):
            return [
                "divide" if name == "frac" else "call",
                *([] if name == "frac" else ["binomial"]),
                self.argument(),
                self.argument(),
            ]
        if name in FUNCTIONS:
            return self.function(name)
        if token == "|":
            inner = self.sum()
            self.take("|")
            return ["call", "abs", inner]
        if token in OPENING:
            return self.bracket(token)
        return self.symbols(token, name)

    def argument(self) -> Tree:
        """What a command of LaTeX takes: a group, or one digit or letter."""
        token = self.peek()
        if len(token) > 1 and (token.isdigit() or token.isalpha()):
            self.tokens[self.at] = token[1:]
            return ["number", token[0]] if token.isdigit() else ["symbol", token[0]]
        return self.atom()

    def function(self, name: str) -> Tree:
        if name == "sqrt":
            if self.peek() != "[":
                return ["call", "sqrt", self.argument()]
            self.take()
            index = self.sum()
            self.take("]")
            return ["call", "root", self.argument(), index]
        base = exponent = None
        if self.peek() == "_":
            self.take()
            base = self.argument()
        if self.peek() == "^":
            self.take()
            exponent = self.argument()
        if self.peek() in ("(", "{"):
            inner = self.bracket(self.take())
            arguments = inner[3:] if inner[0] == "several" else [inner]
        else:
            arguments = [self.signed()]
            while (
                (token := self.peek()) and token not in ENDS and token.removeprefix("\\") not in FUNCTIONS and token != "\\frac"
            ):
                arguments = [["multiply", arguments[0], self.power()]]
        tree = ["call", name, *arguments, *([base] if base else [])]
        return ["power", tree, exponent] if exponent else tree

    def bracket(self, opening: str) -> Tree:
        close = OPENING[opening]
        if self.peek() == close:
            self.take()
            return ["constant", "nothing"]
        parts = [self.side()]
        while self.peek() == ",":
            self.take()
            parts.append(self.side())
        # Half-open intervals close with the other bracket.
        closed = self.take(*({")", "]"} if opening in "([" and len(parts) == 2 else {close}))
        if len(parts) == 1 and opening != "\\{":
            return parts[0]
        braces = opening in ("\\{", "{")
        return ["several", "{" if braces else opening, "}" if braces else closed, *parts]

    def symbols(self, token: str, name: str) -> Tree:
        """A Greek letter, or letters side by side, each a symbol; an index belongs to the last."""
        if not name.isalpha() or (token.startswith("\\") and len(name) > 8):
            raise Unread(f"at {token!r}")
        names = [name] if token.startswith("\\") else list(name)
        if self.peek() == "_":
            self.take()
            index = self.take()
            if index == "{":
                index = self.take()
                self.take("}")
            names[-1] += f"_{index}"
        if self.peek() in ("^", "**") and len(names) > 1:
            self.take()
            last: Tree = ["power", self._letter(names[-1]), self.signed()]
        else:
            last = self._letter(names[-1])
        tree = last
        for each in reversed(names[:-1]):
            tree = ["multiply", self._letter(each), tree]
        return tree

    def _letter(self, name: str) -> Tree:
        return ["constant", CONSTANTS[name]] if name in CONSTANTS else ["symbol", name]
