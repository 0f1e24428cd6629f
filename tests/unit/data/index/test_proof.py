"""The checker in the docs: it needs nothing of ours, accepts a real proof and refuses each forged one."""

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.index.kit import COPY, HERE, SPACED, Clone
from yulan import digest, files, manifest
from yulan.data.index import seen
from yulan.data.index.read import Index

CHECKER = HERE / "docs" / "formats" / "check_index.py"
ABSENT = "7" * 64
Proof = dict[str, Any]


def prove(clone: Clone, identity: str) -> Proof:
    source = seen.published(clone.layout.stage("index").folder)
    found: Proof = json.loads(json.dumps(seen.proof(source.index.ask(identity, "id"), source)))
    return found


def check(folder: Path, proof: Proof, *trusted: str) -> subprocess.CompletedProcess[str]:
    files.write_json(folder / "proof.json", proof)
    # -I and -S: neither this project nor any installed package can be imported.
    words = [sys.executable, "-I", "-S", str(CHECKER), str(folder / "proof.json"), *trusted]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def trusted(clone: Clone) -> str:
    return manifest.read(clone.layout.stage("index").manifest).digest


def test_the_checker_is_short_and_needs_the_standard_library_alone():
    text = CHECKER.read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    names = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= set(sys.stdlib_module_names)
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("text", [SPACED, COPY])
def test_a_real_proof_of_presence_is_accepted(clone: Clone, tmp_path: Path, trusted: str, text: str):
    done = check(tmp_path, prove(clone, digest.of_text(text)), trusted)
    assert done.returncode == 0, done.stderr
    assert "was trained on at" in done.stdout
    assert trusted in done.stdout


def test_a_real_proof_of_absence_is_accepted(clone: Clone, index: Index, tmp_path: Path, trusted: str):
    for asked in (ABSENT, "0" * 64, "f" * 64):
        assert index.find(asked) is None
        done = check(tmp_path, prove(clone, asked), trusted)
        assert done.returncode == 0, done.stderr
        assert f"{asked} is not in the published index of {index.header.documents} documents" in done.stdout


def leaf_text(change: Callable[[dict[str, Any]], object]) -> Callable[[Proof], None]:
    def forge(proof: Proof) -> None:
        content = json.loads(proof["leaves"][0]["text"])
        change(content)
        proof["leaves"][0]["text"] = digest.canonical(content).decode()

    return forge


def swap_index(change: Callable[[dict[str, Any]], object]) -> Callable[[Proof], None]:
    def forge(proof: Proof) -> None:
        index = json.loads(proof["index"])
        change(index)
        proof["index"] = json.dumps(index)

    return forge


def swap_all(proof: Proof) -> None:
    """An index of one's own, consistent in itself."""
    content = json.loads(proof["leaves"][0]["text"])
    content["copies"][0]["seen"][0]["step"] += 1
    text = digest.canonical(content).decode()
    proof["leaves"] = [{"number": 0, "text": text, "path": []}]
    proof["index"] = json.dumps({"documents": 1, "root": digest.leaf(text.encode()).hex()})
    proof["manifest"]["files"] = [{"path": "index.json", "size": 1, "sha256": digest.of_text(proof["index"])}]


FORGED: dict[str, Callable[[Proof], object]] = {
    "another step": leaf_text(lambda leaf: leaf["copies"][0]["seen"][0].update(step=99)),
    "one place left out": leaf_text(lambda leaf: leaf["copies"][0]["seen"].pop()),
    "another document": leaf_text(lambda leaf: leaf.update(id="0" * 64)),
    "another twin": leaf_text(lambda leaf: leaf["twins"].append("1" * 64)),
    "a hash of the path": lambda proof: proof["leaves"][0]["path"].__setitem__(0, "0" * 64),
    "a path cut short": lambda proof: proof["leaves"][0]["path"].pop(),
    "a path drawn out": lambda proof: proof["leaves"][0]["path"].append("0" * 64),
    "another number": lambda proof: proof["leaves"][0].update(number=proof["leaves"][0]["number"] ^ 1),
    "another root": swap_index(lambda index: index.update(root="0" * 64)),
    "fewer documents": swap_index(lambda index: index.update(documents=index["documents"] - 1)),
    "another seed in the manifest": lambda proof: proof["manifest"]["keys"].update(seed=1),
    "a question for another": lambda proof: proof.update(asked="2" * 64),
    "a yes made a no": lambda proof: proof.update(found=False),
    "an index of one's own": swap_all,
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_proof_of_presence_is_refused(clone: Clone, tmp_path: Path, trusted: str, name: str):
    proof = prove(clone, digest.of_text(SPACED))
    FORGED[name](proof)
    done = check(tmp_path, proof, trusted)
    assert done.returncode != 0, done.stdout
    assert done.stdout == ""


def other_neighbour(clone: Clone, offset: int) -> Callable[[Proof], None]:
    def forge(proof: Proof) -> None:
        source = seen.published(clone.layout.stage("index").folder)
        leaf = source.index.leaf(proof["leaves"][-1]["number"] + offset)
        proof["leaves"][-1] = {"number": leaf.number, "text": leaf.text, "path": list(leaf.path)}

    return forge


def test_a_forged_proof_of_absence_is_refused(clone: Clone, index: Index, tmp_path: Path, trusted: str):
    middle = index.leaf(index.header.documents // 2)
    asked = f"{int(middle.id, 16) + 1:064x}"
    honest = prove(clone, asked)
    assert check(tmp_path, honest, trusted).returncode == 0
    forgeries: list[Callable[[Proof], object]] = [
        other_neighbour(clone, 1),
        lambda proof: proof["leaves"].pop(),
        lambda proof: proof["leaves"].pop(0),
        lambda proof: proof["leaves"].clear(),
        lambda proof: proof["leaves"].reverse(),
        lambda proof: proof.update(asked=middle.id),
        lambda proof: proof.update(found=True),
    ]
    for forge in forgeries:
        proof = copy.deepcopy(honest)
        forge(proof)
        assert check(tmp_path, proof, trusted).returncode != 0


def test_without_a_trusted_digest_the_checker_names_what_it_went_by(clone: Clone, tmp_path: Path, trusted: str):
    done = check(tmp_path, prove(clone, digest.of_text(SPACED)))
    assert done.returncode == 0
    assert f"manifest {trusted}" in done.stdout
