"""What a report of a reproduction says, who signed it, and what environment it compares."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from yulan import files
from yulan.cli import main
from yulan.errors import IntegrityError, StateError
from yulan.layout import Layout
from yulan.manifest import Determinism
from yulan.release.dsse import read_signed, write_signed
from yulan.release.reproduce.environment import machine, packages
from yulan.release.reproduce.report import Part, Reproduction, report_json, statement, summary, table
from yulan.release.reproduce.scratch import build, forget, make_scratch
from yulan.release.trust import load_trust, new_key

HERE = Determinism(isa="x", threads=1, ranks=2, torch="2", zero=1, precision="fp32", attention="sdpa")


def part(name: str, verdict: str) -> Part:
    return Part(name=name, verdict=verdict, published="a", found="b", reason="told")  # type: ignore[arg-type]


def report(*parts: Part, here: Determinism = HERE) -> Reproduction:
    return Reproduction(
        format=1, release="hf://a/b@final", recipe="nano", commit="0" * 40, lock="0" * 64, revisions={"model/main": "1" * 64},
        signed=None, published=HERE, here=here, replayed=None, parts=parts,
    )  # fmt: skip


def test_equal_parts_pass_and_what_nobody_checked_stands_beside_them():
    made = report(part("train@phase-01", "equal"), part("replay", "not checked"))
    assert made.result == "PASSED"
    assert summary(made) == "1 not checked, 1 equal"
    assert table(made.parts)[0].startswith("not checked  replay")


def test_a_difference_fails_only_where_every_bit_should_be_equal():
    bad = part("train@phase-01", "different")
    assert report(bad).result == "FAILED"
    assert report(bad, here=replace(HERE, threads=2)).result == "WARNED"
    assert report(bad, part("package torch", "different")).result == "WARNED"
    assert report(part("replay phase-01", "close")).result == "WARNED"


def test_versions_are_held_to_the_lock_and_a_local_part_is_the_machines():
    import importlib.metadata

    click = importlib.metadata.version("click")
    found = {p.name: p for p in packages(f"click=={click}\nclick-of-nobody==1.0\npytest==0.0.1\n")}
    assert found["package click"].verdict == "equal"
    assert (found["package click-of-nobody"].verdict, found["package click-of-nobody"].found) == ("different", None)
    assert found["package pytest"].verdict == "different"
    torch = importlib.metadata.version("torch").partition("+")[0]
    assert packages(f"torch=={torch}\n")[0].verdict == "equal"
    # What is equal among the packages is one line.
    assert table(tuple(found.values()))[-1] == f"{'equal':<12} {'1 packages':<36} as the lock names them"


def test_the_class_of_the_machine_is_compared():
    assert machine(HERE, HERE).verdict == "equal"
    assert machine(replace(HERE, isa="y"), HERE).verdict == "different"
    assert machine(None, HERE).verdict == "not checked"


def test_the_report_is_an_in_toto_test_result_on_the_revisions(tmp_path: Path):
    made = report(part("train@phase-01", "equal"), part("replay phase-01", "close"), part("figures", "different"))
    told = statement(made)
    assert told["subject"] == [{"name": "model/main", "digest": {"sha256": "1" * 64}}]
    assert told["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = told["predicate"]
    assert predicate["result"] == "FAILED"
    assert [predicate[f"{word}Tests"] for word in ("passed", "warned", "failed")] == [
        ["train@phase-01"],
        ["replay phase-01"],
        ["figures"],
    ]
    assert predicate["reproduction"] == report_json(made)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_signed_statement_is_read_with_the_key_of_who_signed_it(tmp_path: Path, curve: ec.EllipticCurve):
    key = ec.generate_private_key(curve)
    form = serialization.PrivateFormat.PKCS8
    files.write_bytes(tmp_path / "key", key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    trust = load_trust(files.write_bytes(tmp_path / "key.pub", public))
    path = tmp_path / "statement.json"
    fingerprint = write_signed(path, {"one": 1}, tmp_path / "key")
    assert read_signed(path, trust) == ({"one": 1}, fingerprint)


def test_a_statement_that_was_changed_or_signed_by_another_is_refused(tmp_path: Path):
    new_key(tmp_path / "key")
    new_key(tmp_path / "other")
    path, trust = tmp_path / "statement.json", load_trust(tmp_path / "key.pub")
    write_signed(path, {"one": 1}, tmp_path / "key")
    raw = json.loads(path.read_text())
    with pytest.raises(IntegrityError, match="signed by a key that is not trusted"):
        read_signed(path, load_trust(tmp_path / "other.pub"))
    files.write_json(path, raw | {"payload": "eyJvbmUiOjJ9"})
    with pytest.raises(IntegrityError, match="was signed over other bytes"):
        read_signed(path, trust)
    for broken in ({}, [], raw | {"payloadType": "text/plain"}, raw | {"signatures": []}, raw | {"payload": "%"}):
        files.write_json(path, broken)
        with pytest.raises(IntegrityError, match="is not a signed statement"):
            read_signed(path, trust)


def test_verify_reads_a_signed_report(tmp_path: Path):
    new_key(tmp_path / "key")
    path = tmp_path / "reproduction.dsse.json"
    write_signed(path, statement(report(part("train@phase-01", "equal"))), tmp_path / "key")
    runner = CliRunner()
    told = runner.invoke(main, ["verify", str(path), "--key", str(tmp_path / "key.pub")])
    assert told.exit_code == 0
    assert "PASSED: hf://a/b@final: 1 equal; signed by " in told.stdout
    assert "A signed report needs --key." in runner.invoke(main, ["verify", str(path)]).stderr
    write_signed(path, {"predicate": {"reproduction": {"format": 2}}}, tmp_path / "key")
    assert runner.invoke(main, ["verify", str(path), "--key", str(tmp_path / "key.pub")]).exit_code == 5


def test_who_signs_is_asked_before_anything_is_fetched():
    told = CliRunner().invoke(main, ["reproduce", "hf://a/b", "--into", "x"])
    assert told.exit_code == 2
    assert "Say who signs the report, --sign FILE" in told.stderr


def test_it_works_in_a_clone_of_its_own(tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with pytest.raises(StateError, match="something else stands there"):
        make_scratch(tmp_path, tmp_path / "full")
    with pytest.raises(StateError, match="git cannot clone it"):
        make_scratch(tmp_path, tmp_path / "new")
    with pytest.raises(StateError, match="dvc repro failed"):
        build(tmp_path)


def test_nothing_that_was_built_before_counts(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="tiny")
    for name in ("artifacts/tiny/raw/manifest.json", "artifacts/tiny/records/a.json", "dvc.lock", "dvc.yaml"):
        files.write_text(tmp_path / name, "{}")
    forget(layout)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["dvc.yaml"]
