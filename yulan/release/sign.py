"""OpenSSF model signatures: one over a revision's content, one over its card, so that a withdrawal can edit the card.

`card.sig` covers the cards (README.md, README.zh.md), checkpoints.csv, withdrawn.json and their list; `model.sig` all else but
`.gitattributes`. Both name in their own payload what they leave out, and are what the stock `model_signing verify key`
reads. Files are not hashed again: their digests are those of the lists, which are checked against the bytes elsewhere.
"""

import base64
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from yulan import files
from yulan.errors import IntegrityError
from yulan.release.folder import ALIEN, CARD, CARD_FILES, CARD_SIGNATURE, SIGNATURE
from yulan.release.trust import Trust, load_private, pem

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

CARDS = frozenset({*CARD_FILES, CARD})
NEVER = (ALIEN, ".cache/huggingface", SIGNATURE, CARD_SIGNATURE)
"""In no signature: a hub adds the first, a download the second."""
LARGEST = 16 << 20
"""Bytes of the largest signature that is read: some 50,000 files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A signature that holds."""

    subject: str
    """OWNER/NAME@REVISION, as its signer named it."""
    fingerprint: str
    """sha256 of the public key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What model_signing asks of a hashing configuration, with digests that are known already."""

    subject: str
    digests: Mapping[str, str]
    ignored: tuple[str, ...] = ()

    def hash(self, _: object, *, files_to_hash: object = None) -> "Manifest":
        from model_signing._hashing.hashing import Digest
        from model_signing.manifest import FileManifestItem, Manifest, SerializationType

        told = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": list(self.ignored)}
        items = [
            FileManifestItem(path=PurePosixPath(name), digest=Digest("sha256", bytes.fromhex(value)))
            for name, value in sorted(self.digests.items())
        ]
        return Manifest(self.subject, items, SerializationType.from_args(told))

    def add_ignored_paths(self, **_: object) -> None:
        """The names are chosen by the caller."""


def split(digests: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Which of a revision's files (name -> sha256) each signature covers."""
    signable = {name: value for name, value in digests.items() if name not in NEVER}
    card = {name: value for name, value in signable.items() if name in CARDS}
    content = {name: value for name, value in signable.items() if name not in CARDS}
    return {name: part for name, part in {SIGNATURE: content, CARD_SIGNATURE: card}.items() if part}


def sign(subject: str, digests: Mapping[str, str], key: Path, into: Path, *, only: str | None = None) -> dict[str, Path]:
    """Write a revision's signatures, or one of them, below `into`.

    Raises: StateError: the key cannot be read, or is of another kind.
    """
    made = {}
    for name, part in split(digests).items():
        if only not in {None, name}:
            continue
        left_out = (*NEVER, *sorted({other.split("/")[0] for other in digests if other not in part} - {*NEVER}))
        made[name] = into / name
        _write(_Told(subject=subject, digests=part, ignored=left_out), key, made[name])
    return made


def _write(told: _Told, key: Path, path: Path) -> None:
    from model_signing.signing import Config

    load_private(key)
    password = os.environ.get("YULAN_KEY_PASSWORD")
    # The library wants text by its type and bytes by what it does.
    secret: Any = password.encode() if password else None
    signer = Config().use_elliptic_key_signer(private_key=key, password=secret)
    config: Any = told
    with tempfile.TemporaryDirectory() as folder:
        signer.set_hashing_config(config).sign(folder, Path(folder) / path.name)
        files.write_bytes(path, (Path(folder) / path.name).read_bytes())


def require_signed(raw: Mapping[str, bytes], digests: Mapping[str, str], trust: Trust, where: object) -> Signed:
    """Hold a revision's signatures (by name) against its files (name -> sha256).

    Raises: IntegrityError: a signature is missing, damaged, by a key that is not trusted, or over other bytes; the file is named.
    """
    made = []
    for name, part in split(digests).items():
        if name not in raw:
            cure = "Do not use it, or check its bytes alone: leave out --key"
            raise IntegrityError(f"{name} is missing: nobody signed it", where=where, cure=cure)
        made.append(_check(name, raw[name], part, trust, where))
    if made[-1].subject != made[0].subject:
        what = f"its card was signed for {made[-1].subject}, its content for {made[0].subject}"
        raise IntegrityError(what, where=where, cure="Do not use it; ask its publisher")
    return made[0]


def _check(name: str, raw: bytes, digests: Mapping[str, str], trust: Trust, where: object) -> Signed:
    hint, subject = _read(name, raw, where)
    key = trust.key(hint, where)
    from model_signing.verifying import Config

    config: Any = _Told(subject=subject, digests=digests)
    with tempfile.TemporaryDirectory() as folder:
        public = files.write_bytes(Path(folder) / "key.pub", pem(key))
        signature = files.write_bytes(Path(folder) / name, raw)
        try:
            Config().use_elliptic_key_verifier(public_key=public).set_hashing_config(config).verify(folder, signature)
        except ValueError as error:
            text = str(error)
            rows = _differences(raw, digests) if text.startswith("Signature mismatch") else [text[:200]]
            what = f"{name} was made over other bytes"
            raise IntegrityError(what, where=where, cure="Do not use it; pull it again", evidence=rows) from None
        except Exception as error:  # cryptography's InvalidSignature and what a crafted bundle raises share no base
            what = f"{name} does not hold ({error.__class__.__name__})"
            raise IntegrityError(what, where=where, cure="Do not use it; pull it again") from None
    return Signed(subject=subject, fingerprint=hint)


def _payload(raw: bytes) -> dict[str, Any]:
    bundle = json.loads(raw)
    made: dict[str, Any] = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return made | {"hint": bundle["verificationMaterial"]["publicKey"]["hint"]}


def _read(name: str, raw: bytes, where: object) -> tuple[str, str]:
    """Fingerprint of the key and the subject that a signature names; neither is trusted yet."""
    try:
        told = _payload(raw)
        hint, subject = told["hint"], told["subject"][0]["name"]
        if not isinstance(hint, str) or not isinstance(subject, str):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise IntegrityError(f"{name} is not a model signature", where=where, cure="Do not use it; pull it again") from None
    return hint, subject


def _differences(raw: bytes, digests: Mapping[str, str]) -> Iterable[str]:
    """Rows like `changed  config.json`, of a payload whose signature was checked."""
    told = {row["name"]: row["digest"] for row in _payload(raw)["predicate"]["resources"]}
    rows = [f"missing  {name}" for name in told.keys() - digests.keys()]
    rows += [f"extra    {name}" for name in digests.keys() - told.keys()]
    rows += [f"changed  {name}" for name in told.keys() & digests.keys() if told[name] != digests[name]]
    return sorted(rows)
