"""A signature holds over exactly what was published, for our command and for the stock one."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.release.conftest import make_layout
from tests.unit.release.kit import FINAL, NAME, STABLE, contents, go
from yulan import digest, files
from yulan.cli import main
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST, Layout
from yulan.manifest import File
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.folder import CARD_SIGNATURE, SIGNATURE
from yulan.release.hub import Hub
from yulan.release.hub_upload import additions
from yulan.release.names import Address, parse
from yulan.release.pull import offer, pull
from yulan.release.seal import reseal_card
from yulan.release.sign import sign
from yulan.release.trust import Trust, load_trust, new_key, public_of
from yulan.release.verify import verify_folder, verify_signature


@dataclass(frozen=True, kw_only=True)
class Release:
    layout: Layout
    served: Served
    key: Path
    public: Path
    said: list[str]

    @property
    def trust(self) -> Trust:
        return load_trust(self.public)

    def pull(self, address: str, into: Path, only=None, trust: Trust | None = None):
        return pull(Hub(self.served.url, None), parse(address), into, only, lambda _: None, trust or self.trust)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp("signed")
    layout = make_layout(folder / "clone")
    new_key(folder / "key")
    with running_hub(folder / "hub") as served:
        said = go(layout, served, key=folder / "key")
        yield Release(layout=layout, served=served, key=folder / "key", public=folder / "key.pub", said=said)


@pytest.fixture
def folder(signed: Release, tmp_path: Path) -> Path:
    signed.pull(f"hf://{NAME}@{FINAL}", tmp_path / "it")
    return tmp_path / "it"


def stock(folder: Path, public: Path, signature: str = SIGNATURE, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["verify", "key", str(folder), "--signature", str(folder / signature), "--public_key", str(public), *more]
    return subprocess.run([sys.executable, "-m", "model_signing", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("address", [f"{NAME}@final", f"{NAME}@{STABLE}", f"{NAME}-states@main", f"{NAME}-data@main"])
def test_every_revision_is_signed_under_its_own_name(signed: Release, tmp_path: Path, address: str):
    done = signed.pull(f"hf://{address}", tmp_path / "it")
    found = verify_folder(tmp_path / "it")
    name, _, revision = address.partition("@")
    assert done.signed is not None
    assert done.signed == verify_signature(tmp_path / "it", found, signed.trust)
    assert done.signed.subject == f"{name}@{'main' if revision == 'final' else revision}"
    assert done.signed.fingerprint == digest.of_bytes(signed.public.read_bytes())


def test_a_second_publication_keeps_the_signatures_and_sends_nothing(tmp_path: Path):
    layout = make_layout(tmp_path / "clone")
    new_key(tmp_path / "key")
    with running_hub(tmp_path / "hub") as served:
        go(layout, served, key=tmp_path / "key")
        files.remove(layout.root / "runs")
        again = go(layout, served, key=tmp_path / "key")
        assert any(line.startswith("sent 0 bytes") for line in again)
        # Another key signs anew: the old one may have been revoked.
        new_key(tmp_path / "next")
        assert not any(line.startswith("sent 0 bytes") for line in go(layout, served, key=tmp_path / "next"))
        pull(Hub(served.url, None), parse(f"hf://{NAME}@final"), tmp_path / "it", None, print, load_trust(tmp_path / "next.pub"))


@pytest.mark.slow
def test_the_stock_command_accepts_a_download_a_hub_cache_and_a_part(signed: Release, tmp_path: Path, folder: Path):
    assert "succeeded" in stock(folder, signed.public).stdout
    home = {"HF_ENDPOINT": signed.served.url, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "PATH": "/usr/bin:/bin"}
    code = """
import sys, huggingface_hub
print(huggingface_hub.snapshot_download(sys.argv[1], revision=sys.argv[2], local_dir=sys.argv[3] or None))
"""

    def download(revision: str, into: str) -> Path:
        words = [sys.executable, "-c", code, NAME, revision, into]
        return Path(subprocess.run(words, env=home, capture_output=True, text=True, check=True).stdout.strip())

    downloaded = download(STABLE, str(tmp_path / "downloaded"))
    assert (downloaded / ".cache" / "huggingface").is_dir()
    cached = download(STABLE, "")
    assert (cached / "model.safetensors").is_symlink()
    signed.pull(f"hf://{NAME}@final", tmp_path / "card", "card")
    signed.pull(f"hf://{NAME}@final", tmp_path / "states", "optimizer")
    shapes = [(downloaded, SIGNATURE, []), (cached, SIGNATURE, ["--allow_symlinks"]), (tmp_path / "card", CARD_SIGNATURE, [])]
    shapes += [
        (tmp_path / "states", SIGNATURE, []),
        (downloaded, CARD_SIGNATURE, []),
        (cached, CARD_SIGNATURE, ["--allow_symlinks"]),
    ]
    for place, signature, more in shapes:
        done = stock(place, signed.public, signature, *more)
        assert done.returncode == 0, (place, signature, done.stdout + done.stderr)
        assert verify_signature(place, verify_folder(place), signed.trust)


def flip(folder: Path) -> str:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    return "model.safetensors"


def add(folder: Path) -> str:
    (folder / "helper.json").write_text("{}")
    return "helper.json"


def cut(folder: Path) -> str:
    (folder / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes()[:-40])
    return SIGNATURE


def swap(folder: Path) -> str:
    """Weights of another signed revision, and lists that agree with them."""
    data = b"\0" + b"\0\1" * 40_000 + STABLE.encode()
    files.write_bytes(folder / "model.safetensors", data)
    listed = json.loads((folder / MANIFEST).read_text())
    for row in listed["files"]:
        if row["path"] == "model.safetensors":
            row |= {"size": len(data), "sha256": digest.of_bytes(data)}
    files.write_json(folder / MANIFEST, listed)
    return "model.safetensors"


@pytest.mark.parametrize("harm", [flip, add, cut, swap])
def test_harm_is_seen_by_both_commands_and_the_file_is_named(signed: Release, folder: Path, harm: Callable[[Path], str]):
    named = harm(folder)
    done = stock(folder, signed.public)
    assert done.returncode == 1
    with pytest.raises(IntegrityError) as caught:
        verify_signature(folder, verify_folder(folder), signed.trust)
    assert named in str(caught.value)
    if harm is not cut:
        assert named in done.stderr


def test_the_whole_of_another_signed_revision_is_not_this_one(signed: Release, tmp_path: Path):
    hub = Hub(signed.served.url, signed.served.token)
    address = parse(f"hf://{NAME}@{FINAL}")
    other = hub.commit_of(address.repo, STABLE)
    moved = Address(name=NAME, part="model", revision="phase-09-step-000009")
    hub.branch(address.repo, moved.revision)
    head = hub.commit_of(address.repo, moved.revision)
    signed.pull(f"hf://{NAME}@{STABLE}", tmp_path / "other")
    here = {name: tmp_path / "other" / name for name in contents(tmp_path / "other")}
    known = {name: File(path=name, size=path.stat().st_size, sha256=digest.of_file(path)) for name, path in here.items()}
    list(hub.upload(address.repo, moved.revision, operations := additions(here, known)))
    hub.commit(address.repo, moved.revision, head, operations, [], "what another branch has")
    assert hub.commit_of(address.repo, moved.revision) != other
    with pytest.raises(IntegrityError, match=f"was signed as {NAME}@{STABLE}"):
        signed.pull(str(moved), tmp_path / "it")
    assert not (tmp_path / "it").exists()


def test_nothing_is_fetched_of_a_release_that_nobody_trusted_signed(signed: Release, tmp_path: Path):
    new_key(tmp_path / "other")
    with pytest.raises(IntegrityError, match="signed by a key that is not trusted"):
        signed.pull(f"hf://{NAME}@final", tmp_path / "it", trust=load_trust(tmp_path / "other.pub"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("it")] == []


def test_an_unsigned_release_is_refused_only_where_a_key_was_given(
    published: tuple[Layout, Served], signed: Release, tmp_path: Path
):
    _, served = published
    pull(Hub(served.url, None), parse(f"hf://{NAME}@final"), tmp_path / "plain", None, print)
    with pytest.raises(IntegrityError, match=r"model\.sig is missing: nobody signed it"):
        verify_signature(tmp_path / "plain", verify_folder(tmp_path / "plain"), signed.trust)


def test_a_key_list_allows_rotation_and_a_revoked_key_counts_no_more(signed: Release, tmp_path: Path, folder: Path):
    new_key(tmp_path / "next")
    old, new = signed.public.read_text(), (tmp_path / "next.pub").read_text()
    rows = [{"public": old, "since": "2026-01-01", "revoked": None}, {"public": new, "since": "2026-11-01", "revoked": None}]
    files.write_json(tmp_path / "keys.json", {"format": 1, "keys": rows})
    found = verify_folder(folder)
    assert verify_signature(folder, found, load_trust(tmp_path / "keys.json"))
    rows[0]["revoked"] = {"on": "2026-11-20", "reason": "the laptop was stolen"}
    files.write_json(tmp_path / "keys.json", {"format": 1, "keys": rows})
    with pytest.raises(IntegrityError, match="was revoked on 2026-11-20: the laptop was stolen"):
        verify_signature(folder, found, load_trust(tmp_path / "keys.json"))


def test_a_card_may_be_edited_and_signed_again_and_the_content_stays_signed(signed: Release, folder: Path, tmp_path: Path):
    files.write_text(folder / "README.md", "withdrawn\n")
    reseal_card(folder)
    found = verify_folder(folder)
    with pytest.raises(IntegrityError, match=r"card\.sig was made over other bytes") as caught:
        verify_signature(folder, found, signed.trust)
    assert "changed  README.md" in str(caught.value)
    made = sign(f"{NAME}@{FINAL}", found.sums, signed.key, tmp_path / "again")
    shutil.copy(made[CARD_SIGNATURE], folder / CARD_SIGNATURE)
    assert verify_signature(folder, found, signed.trust)
    made = sign(f"{NAME}@{STABLE}", found.sums, signed.key, tmp_path / "other")
    shutil.copy(made[CARD_SIGNATURE], folder / CARD_SIGNATURE)
    with pytest.raises(IntegrityError, match="its card was signed for"):
        verify_signature(folder, found, signed.trust)


def test_a_payload_that_was_edited_does_not_hold(signed: Release, folder: Path):
    bundle = json.loads((folder / SIGNATURE).read_text())
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["subject"][0]["name"] = f"{NAME}@{STABLE}"
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    (folder / SIGNATURE).write_text(json.dumps(bundle))
    with pytest.raises(IntegrityError, match=r"model\.sig does not hold"):
        verify_signature(folder, verify_folder(folder), signed.trust)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"dsseEnvelope": 3}', "[" * 100_000, "\0" * 100])
def test_what_is_no_signature_is_named(signed: Release, folder: Path, text: str):
    (folder / SIGNATURE).write_text(text)
    with pytest.raises(IntegrityError, match=r"model\.sig is not a model signature"):
        verify_signature(folder, verify_folder(folder), signed.trust)


def test_what_is_no_key_is_named(tmp_path: Path):
    (tmp_path / "x.pub").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(StateError, match="not a public key for model signatures"):
        load_trust(tmp_path / "x.pub")
    with pytest.raises(StateError, match="cannot be read as a private key"):
        public_of(tmp_path / "x.pub")


def test_a_key_is_its_owners_alone_and_is_never_overwritten(tmp_path: Path):
    done = CliRunner().invoke(main, ["key", "new", str(tmp_path / "key")])
    assert done.output == f"key.pub: {digest.of_bytes((tmp_path / 'key.pub').read_bytes())}\n"
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    with pytest.raises(StateError, match="a key is never overwritten"):
        new_key(tmp_path / "key")


def test_a_locked_key_signs_with_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    lock = serialization.BestAvailableEncryption(b"word")
    made = ec.generate_private_key(ec.SECP384R1())
    (tmp_path / "key").write_bytes(made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    with pytest.raises(StateError, match="opened by YULAN_KEY_PASSWORD"):
        sign("x/y@main", {"a": "0" * 64}, tmp_path / "key", tmp_path)
    monkeypatch.setenv("YULAN_KEY_PASSWORD", "word")
    made_of = sign("x/y@main", {"a": "0" * 64}, tmp_path / "key", tmp_path / "out")
    assert sorted(made_of) == [SIGNATURE]


def test_publish_asks_who_signs(signed: Release):
    for words in ([], ["--unsigned", "--key", str(signed.key)]):
        done = CliRunner().invoke(main, ["publish", *words])
        assert done.exit_code == 2
        assert "Say who signs it" in done.output


def test_a_verdict_on_the_command_line_names_the_signer(signed: Release, folder: Path):
    done = CliRunner().invoke(main, ["verify", str(folder), "--key", str(signed.public)])
    assert done.exit_code == 0
    assert f"signed as {NAME}@{FINAL}" in done.output
    code = (
        "import sys; from yulan.cli import main; main(['verify', sys.argv[1], '--key', sys.argv[2]], standalone_mode=False);"
        "assert 'torch' not in sys.modules and 'huggingface_hub' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(signed.public)], check=True, capture_output=True)


def test_an_offer_lists_no_signature_as_extra(signed: Release):
    found = offer(Hub(signed.served.url, None), parse(f"hf://{NAME}@final"), card=False)
    assert {SIGNATURE, CARD_SIGNATURE} <= found.raw.keys()
    assert not {SIGNATURE, CARD_SIGNATURE} & found.files.keys()
