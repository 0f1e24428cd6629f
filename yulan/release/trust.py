"""Whose signatures count: a public key, or `keys.json`, a list of keys of which some were revoked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yulan import digest, files
from yulan.errors import IntegrityError, StateError
from yulan.schema import check, load_json, structure

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocation:
    on: str
    """Date, ISO 8601."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    public: str
    """PEM."""
    since: str
    """Date of its first use, ISO 8601."""
    revoked: Revocation | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """keys.json."""

    format: int
    keys: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Keys by fingerprint."""

    keys: Mapping[str, Key]

    def key(self, fingerprint: str, where: object) -> str:
        """The public key of that fingerprint, as PEM.

        Raises: IntegrityError: it is not among the trusted ones, or was revoked. A signature bears no time that its signer
        could not choose, so a revoked key's older signatures count no more than its newer ones.
        """
        found = self.keys.get(fingerprint)
        if found is None:
            what = f"signed by a key that is not trusted ({fingerprint[:16]})"
            raise IntegrityError(what, where=where, cure="Ask its publisher for the key, by another way than this one")
        if found.revoked is not None:
            what = f"its key {fingerprint[:16]} was revoked on {found.revoked.on}: {found.revoked.reason}"
            raise IntegrityError(what, where=where, cure="Use a release that was signed again")
        return found.public


def pem(text: str) -> bytes:
    """A public key in the one spelling that fingerprints are taken of.

    Raises: ValueError: it is no public key on one of the curves that model signatures know.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    try:
        key = serialization.load_pem_public_key(text.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in {"secp256r1", "secp384r1", "secp521r1"}:
        raise ValueError("another kind of key")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_trust(path: Path) -> Trust:
    """Read a PEM file of one public key, or keys.json.

    Raises: StateError: it is neither.
    """
    if path.suffix == ".json":
        raw = load_json(path)
        check(raw, "keys", path, StateError)
        listed = structure(raw, Keys).keys
    else:
        listed = (Key(public=_text(path), since="", revoked=None),)
    found = {}
    for key in listed:
        try:
            found[digest.of_bytes(pem(key.public))] = key
        except ValueError:
            cure = "Give the public key that the publisher gave out (PEM), or keys.json"
            raise StateError("not a public key for model signatures", where=path, cure=cure) from None
    return Trust(keys=found)


def public_of(private: Path) -> Trust:
    """Trust in one's own key alone.

    Raises: StateError: it cannot be read.
    """
    from cryptography.hazmat.primitives import serialization

    key = load_private(private)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Trust(keys={digest.of_bytes(public): Key(public=public.decode(), since="", revoked=None)})


def load_private(path: Path) -> "EllipticCurvePrivateKey":
    """Raises: StateError: no such key, one of another kind, or its password (YULAN_KEY_PASSWORD) is wrong."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    password = os.environ.get("YULAN_KEY_PASSWORD")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password.encode() if password else None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise TypeError("another kind of key")
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        cure = "Make one with: yulan key new FILE; a locked one is opened by YULAN_KEY_PASSWORD"
        raise StateError(f"cannot be read as a private key ({error.__class__.__name__})", where=path, cure=cure) from None
    return key


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(1 << 16)
    except (OSError, UnicodeDecodeError):
        return ""


def new_key(path: Path) -> str:
    """Write a private key (readable by its owner alone) and `<path>.pub`; returns the fingerprint.

    Raises: StateError: something stands there.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public_path = path.with_name(path.name + ".pub")
    for each in (path, public_path):
        if each.exists():
            raise StateError("already there, and a key is never overwritten", where=each, cure="Choose another name")
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with files.open_new(path) as file:
        # Before a byte of it is there: the name appears with the file, and so with its mode.
        os.fchmod(file.fileno(), 0o600)
        file.write(private)
    files.write_bytes(public_path, public)
    return digest.of_bytes(public)
