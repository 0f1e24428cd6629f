"""Who may import whom. Floors rise from the ground; an import leads down, or stays inside one package without a circle."""

import ast
from collections.abc import Iterator

import pytest

FLOORS = (
    ("errors",),
    ("files", "digest", "layout", "isa"),
    ("schema", "direct"),
    ("mix", "profile", "manifest"),
    ("recipe",),
    ("lint", "params", "data", "model"),
    ("train",),
    ("plan", "evaluate", "release", "report", "rehearsal"),
    ("study",),
    ("cli", "hf"),
)
OWNERS = {
    "deepspeed": "yulan/train/backend.py",
    "mlflow": "yulan/train/track.py",
    "huggingface_hub": "yulan/release/hub",
    "daft": "yulan/data/frames.py",
    "evaluate": "yulan/evaluate/code.py",
    "lm_eval": "yulan/evaluate/",
    "ray": "yulan/data/cluster.py",
    "mlcroissant": "yulan/release/gate/described.py",
    "cyclonedx": "yulan/release/gate/reported.py",
    "altair": "yulan/report/",
    "httpx2": "yulan/data/synthesize/endpoint.py",
    "sympy": "yulan/data/synthesize/worker.py",
    "vl_convert": "yulan/report/",
    "model_signing": "yulan/release/sign.py",
    "sklearn": "yulan/data/score/",
    "hashlib": "yulan/digest.py",
    "hmac": "yulan/digest.py",
}
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}


def imported(name: str, module: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, also those inside functions; relative ones are refused."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            # `from yulan.data import order` imports the module yulan.data.order.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.fixture(scope="module")
def library(tree: dict[str, ast.Module]) -> dict[str, ast.Module]:
    return {name: module for name, module in tree.items() if name.startswith("yulan/")}


def room(path: str) -> str:
    """Top-level name a file of the library belongs to."""
    return path.split("/")[1].removesuffix(".py")


def test_every_file_of_the_library_has_a_floor(library: dict[str, ast.Module]):
    unknown = {name for name in library if room(name) not in HEIGHT and name != "yulan/__init__.py"}
    assert not unknown, "give it a floor in FLOORS"


def test_imports_lead_downward(library: dict[str, ast.Module]):
    wrong = []
    for name, module in library.items():
        for line, target in imported(name, module):
            top, _, rest = target.partition(".")
            other = rest.split(".")[0]
            if top == "yulan" and other in HEIGHT and room(name) != other and HEIGHT[other] >= HEIGHT[room(name)]:
                wrong.append(f"{name}:{line} imports yulan.{other}, which lies no lower")
    assert not wrong, "\n".join(wrong)


def test_the_library_knows_nothing_of_stages_and_tests(library: dict[str, ast.Module]):
    wrong = [
        f"{n}:{line}"
        for n, m in library.items()
        for line, target in imported(n, m)
        if target.split(".")[0] in ("pipelines", "tests")
    ]
    assert not wrong


def test_a_library_has_one_owner(tree: dict[str, ast.Module]):
    wrong = []
    for name, module in tree.items():
        if not name.startswith(("yulan/", "pipelines/")):
            continue
        for line, target in imported(name, module):
            owner = OWNERS.get(target.split(".")[0])
            if owner and not name.startswith(owner):
                wrong.append(f"{name}:{line} imports {target}, which is {owner}'s")
    assert not wrong, "\n".join(wrong)


def test_no_package_imports_itself_in_a_circle(library: dict[str, ast.Module]):
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in library}
    edges: dict[str, set[str]] = {}
    for module, name in modules.items():
        named = {target for _, target in imported(name, library[name])}
        # `yulan.data.order.Order` imports the module it lies in.
        edges[module] = {t if t in modules else t.rpartition(".")[0] for t in named} & modules.keys() - {module}
    left = dict(edges)
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"in or above a circle: {sorted(left)}"
