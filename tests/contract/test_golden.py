"""Bytes that must never change: others hold digests of them."""

from yulan import digest
from yulan.manifest import Determinism, File, Manifest


def test_the_canonical_form_of_json():
    value = {"b": [True, None, 1, 0.1, 1e-15, 1e16], "a": {"人": 'é"\\\n'}}
    assert digest.canonical(value) == '{"a":{"人":"é\\"\\\\\\n"},"b":[true,null,1,0.1,1e-15,1e+16]}'.encode()
    assert digest.of_json(value) == "65d7bdb897b1fc100ddfc2b98312b88c2c651cc6f64b67c0bcdf05e9236cb4b8"


def test_the_id_of_a_document():
    assert digest.of_text("YuLan\r\n玉兰\r") == "63705d3ba5c00f3385b3b81ab588973fceec430be29b7d5f390d52a5bea72253"


def test_the_chain_of_a_log():
    first = digest.chained("", {"step": 1, "loss": 2.5})
    assert digest.chained(first, {"step": 2, "loss": 2.25}) == "35a546b16d27bc4396b85cb2d9b3d96a876690b205f698af2aedd783df20b07d"


def test_the_id_that_git_gives_a_file():
    assert digest.git_blob(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert digest.git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_identity_of_an_artifact():
    made = Manifest(
        format=1,
        stage="train",
        name="nano/phase-01",
        files=(File(path="metrics.jsonl", size=2, sha256=digest.of_bytes(b"{}")),),
        inputs={"mix@phase-01": "0" * 64},
        keys={"seed": 7},
        summary={"loss": 2.5},
        determinism=Determinism(
            isa="x86_64 avx2", threads=1, ranks=2, torch="2.13.0+cpu", zero=1, precision="fp32", attention="sdpa"
        ),
    )
    assert made.digest == "c385b8990874471ef9e1a4accd97d3e07b1b5e47c5407ba1d2d32b41b66a1783"
