"""Shape of the code: small files, small functions, nothing left for later, nothing that names a place or runs a pickle."""

import ast
import re

import pytest

LINES, FUNCTION = 300, 60
LEFT = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PLACES = re.compile(r"(?<![\w.:/])/(?:home|root|work|Users|mnt)/\w")
INDEXES = re.compile(
    "|".join((r"files\.pythonhosted", r"pypi\.org/simple", r"registry\.npm", r"index-url", r"download\.pytorch"))
)
PICKLES = (("load", "yulan/train/checkpoint/unpickle.py"), ("save", "yulan/train/checkpoint/outgoing.py"))
"""The only file that may read torch's pickles, and the only one that may write them: for other people's tools."""
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def functions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def code(tree: dict[str, ast.Module]) -> dict[str, ast.Module]:
    return {name: module for name, module in tree.items() if name.startswith(("yulan/", "pipelines/"))}


def test_no_python_file_is_longer_than_300_lines(tree: dict[str, ast.Module], texts: dict[str, str]):
    long = {name: lines for name in tree if (lines := texts[name].count("\n")) > LINES}
    assert not long


def test_a_peer_of_a_bench_is_short_enough_to_be_reviewed(tree: dict[str, ast.Module], texts: dict[str, str]):
    peers = {name: texts[name].count("\n") for name in tree if name.startswith("tests/bench/peers/")}
    assert peers
    assert max(peers.values()) <= 80


def test_a_function_fits_a_screen(tree: dict[str, ast.Module]):
    long = [
        f"{name}:{each.lineno} {each.name}: {each.end_lineno - each.lineno + 1} lines"
        for name, module in tree.items()
        for each in functions(module)
        if (each.end_lineno or 0) - each.lineno + 1 > FUNCTION
    ]
    assert not long


def test_nothing_is_left_for_later(texts: dict[str, str]):
    found = [
        f"{n}: {line.strip()}"
        for n, text in texts.items()
        if n.endswith((".py", ".md", ".yaml", ".toml", "Makefile", "bootstrap"))
        for line in text.splitlines()
        if LEFT.search(line)
    ]
    assert not found


def test_an_assert_stands_only_in_tests(tree: dict[str, ast.Module]):
    found = [
        f"{name}:{node.lineno}"
        for name, module in code(tree).items()
        for node in ast.walk(module)
        if isinstance(node, ast.Assert)
    ]
    assert not found, "raise the error that says what, where and the cure"


def test_no_file_names_a_folder_of_one_machine(texts: dict[str, str]):
    # The gate's tests hold such paths up to the gate.
    mine = {name: text for name, text in texts.items() if not name.startswith("tests/unit/release/")}
    found = [f"{name}: {match[0]}" for name, text in mine.items() for match in PLACES.finditer(text)]
    assert not found


def test_no_file_names_a_package_index(texts: dict[str, str]):
    found = [
        f"{name}: {match[0]}"
        for name, text in texts.items()
        if name != "tests/contract/test_sizes.py"
        for match in INDEXES.finditer(text)
    ]
    assert not found


@pytest.mark.parametrize(("call", "place"), PICKLES)
def test_torch_reads_and_writes_a_pickle_in_one_place_each(tree: dict[str, ast.Module], call: str, place: str):
    found = [
        name
        for name, module in code(tree).items()
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and node.attr == call and isinstance(node.value, ast.Name) and node.value.id == "torch"
    ]
    assert set(found) <= {place}
    assert len(found) <= 1


def test_what_is_unpickled_is_held_to_a_closed_list(tree: dict[str, ast.Module]):
    calls = [
        node
        for node in ast.walk(tree[dict(PICKLES)["load"]])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    (call,) = calls
    told = {word.arg: word.value for word in call.keywords}
    assert isinstance(told["weights_only"], ast.Constant)
    assert told["weights_only"].value is True


def test_nothing_imports_a_pickle(tree: dict[str, ast.Module]):
    found = []
    for name, module in code(tree).items():
        for node in ast.walk(module):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [f"{name}:{node.lineno} {each}" for each in names if each.split(".")[0] in UNPICKLERS]
    assert not found


def test_every_public_function_and_class_is_typed_and_every_module_says_what_it_is(tree: dict[str, ast.Module]):
    bare = [name for name, module in code(tree).items() if module.body and not ast.get_docstring(module)]
    untyped = [
        f"{name}:{each.lineno} {each.name}"
        for name, module in code(tree).items()
        for each in functions(module)
        if each.returns is None
    ]
    assert not bare
    assert not untyped
