"""Every message a user can be shown has a test that quotes it.

The words of a message are read from the call that makes the error, through variables, helper functions and tables
of the same file. A message that cannot be read that way fails here: write it where the error is made.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

ERRORS = {"YulanError", "RecipeError", "DataError", "IntegrityError", "StateError", "HubError", "ResourceError", "TrainError"}
ERRORS |= {"OrderExhausted", "UsageError", "BadParameter", "ClickException"}
QUOTED = 3
"""Words in a row that a test must quote; all of them where a message has no more."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    where: str
    words: ast.expr


class Reader:
    """Finds the words of every error that one file makes."""

    def __init__(self, name: str, module: ast.Module) -> None:
        self.name, self.module = name, module
        self.parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
        self.functions = {node.name: node for node in ast.walk(module) if isinstance(node, Function)}
        self.calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]

    def sites(self) -> Iterator[Site]:
        for call in self.calls:
            named = (
                call.func.id
                if isinstance(call.func, ast.Name)
                else call.func.attr
                if isinstance(call.func, ast.Attribute)
                else ""
            )
            # A class in a variable is known by the cure that it is given.
            if named in ERRORS or (isinstance(call.func, ast.Name) and any(keyword.arg == "cure" for keyword in call.keywords)):
                if named in self.functions:
                    continue
                for words in self.read(call.args[0], ()) if call.args else [call]:
                    if isinstance(words, ast.Constant) and words.value == "":
                        continue  # the other side of `hint or nothing`
                    yield Site(where=f"{self.name}:{call.lineno}", words=words)

    def read(self, node: ast.expr, seen: tuple[ast.expr, ...]) -> Iterator[ast.expr]:
        """The literals that an expression may be; the expression itself where that cannot be said."""
        if node in seen:
            return
        seen = (*seen, node)
        match node:
            case ast.IfExp():
                yield from (*self.read(node.body, seen), *self.read(node.orelse, seen))
            case ast.BoolOp():
                for value in node.values:
                    yield from self.read(value, seen)
            case ast.BinOp():
                yield from (*self.read(node.left, seen), *self.read(node.right, seen))
            case ast.Subscript(slice=ast.Slice()):
                yield from self.read(node.value, seen)
            case ast.Attribute(attr="message") | ast.Call(func=ast.Attribute(attr="format_message")):
                return  # another library's words
            case ast.Attribute(attr="what") | ast.Subscript(slice=ast.Constant(value="what")):
                return  # an error that is passed on was made, and is tested, elsewhere
            case ast.Name():
                found = [words for origin in self.origins(node) for words in self.read(origin, seen)]
                yield from found or [node]
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                for value in self.returned(name):
                    yield from self.read(value, seen)
            case _:
                yield node

    def scopes(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            if isinstance(node, Function | ast.Module):
                yield node

    def origins(self, name: ast.Name) -> Iterator[ast.expr]:
        """What a name was assigned from, or what its function was called with."""
        for scope in self.scopes(name):
            if isinstance(scope, Function):
                yield from self.arguments(scope, name.id)
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        yield from self.assigned(target, node.value, name.id)
                elif isinstance(node, ast.NamedExpr) and node.target.id == name.id:
                    yield node.value
                elif isinstance(node, ast.For):
                    yield from self.assigned(node.target, node.iter, name.id)

    def arguments(self, function: Function, name: str) -> Iterator[ast.expr]:
        names = [each.arg for each in function.args.args]
        if name not in names:
            return
        for call in self.calls:
            if ast.unparse(call.func).split(".")[-1] == function.name:
                place = names.index(name) - (names[0] in ("self", "cls"))
                yield from call.args[place : place + 1]
                yield from (keyword.value for keyword in call.keywords if keyword.arg == name)

    def assigned(self, target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
        if isinstance(target, ast.Name) and target.id == name:
            yield value
        if not isinstance(target, ast.Tuple):
            return
        places = [i for i, each in enumerate(target.elts) if isinstance(each, ast.Name) and each.id == name]
        for place in places:
            for whole in self.tuples(value):
                if len(whole.elts) > place:
                    yield whole.elts[place]

    def tuples(self, value: ast.expr) -> Iterator[ast.Tuple]:
        """Tuples that a value may be: itself, what a function here returns, the entries of a table here."""
        match value:
            case ast.Tuple() if all(isinstance(each, ast.Tuple) for each in value.elts) and value.elts:
                yield from value.elts  # the rows of a loop
            case ast.Tuple():
                yield value
            case ast.IfExp():
                yield from (*self.tuples(value.body), *self.tuples(value.orelse))
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                for each in self.returned(name):
                    yield from self.tuples(each)
            case ast.Call(func=ast.Attribute(value=ast.Name() as table)) | ast.Subscript(value=ast.Name() as table):
                for origin in self.origins(table):
                    if isinstance(origin, ast.Dict):
                        for entry in origin.values:
                            yield from self.tuples(entry)

    def returned(self, name: str) -> Iterator[ast.expr]:
        for node in ast.walk(self.functions[name]):
            if isinstance(node, ast.Return) and node.value is not None:
                yield node.value


def tokens(text: str) -> list[str]:
    """Words without punctuation, so that escapes, quotes and line ends do not matter."""
    return [word for word in re.split(r"[\s\\.,:;'\"()\[\]{}|*+?^$!—-]+", text) if word]


def pieces(words: ast.expr) -> list[list[str]] | None:
    """The fixed parts of a message; None if it is no literal."""
    if isinstance(words, ast.Constant) and isinstance(words.value, str):
        return [tokens(words.value)]
    if isinstance(words, ast.JoinedStr):
        # A word that touches a value is not whole in what is shown.
        return [tokens(part.value) for part in words.values if isinstance(part, ast.Constant)]
    return None


@pytest.fixture(scope="module")
def sites(tree: dict[str, ast.Module]) -> list[Site]:
    code = {name: module for name, module in tree.items() if name.startswith(("yulan/", "pipelines/"))}
    found = [site for name, module in code.items() for site in Reader(name, module).sites()]
    return list({(site.where, ast.unparse(site.words)): site for site in found}.values())


@pytest.fixture(scope="module")
def quotes(tree: dict[str, ast.Module]) -> set[str]:
    """Every run of one to three words in a string of a test."""
    found = set()
    for name, module in tree.items():
        if not name.startswith("tests/"):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = tokens(node.value)
                found |= {" ".join(words[i : i + n]) for n in range(1, QUOTED + 1) for i in range(len(words) - n + 1)}
    return found


def test_errors_are_found(sites: list[Site]):
    assert len(sites) > 100


def test_the_words_of_every_message_can_be_read(sites: list[Site]):
    unread = [f"{site.where}: {ast.unparse(site.words)}" for site in sites if pieces(site.words) is None]
    assert not unread, "\n".join(unread)


def test_every_message_is_quoted_by_a_test(sites: list[Site], quotes: set[str]):
    silent = []
    for site in sites:
        said = pieces(site.words)
        longest = max(said or [[]], key=len)
        runs = [" ".join(longest[i : i + QUOTED]) for i in range(max(1, len(longest) - QUOTED + 1))]
        if said is not None and not quotes & set(runs):
            silent.append(f"{site.where}: {ast.unparse(site.words)}")
    assert not silent, f"{len(silent)} messages without a test:\n" + "\n".join(silent)
