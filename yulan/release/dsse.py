"""Statements under a signature: in-toto Statement v1 in a DSSE envelope, ECDSA by the keys that releases are signed with.

Sources: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md and https://in-toto.io/Statement/v1.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yulan import digest, files
from yulan.errors import IntegrityError
from yulan.release.trust import Trust, load_private, pem, public_of
from yulan.schema import load_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurve

TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


def _spelled(body: bytes) -> bytes:
    """What is signed: type and body with their lengths, so that neither can pass for the other."""
    return b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(body), body)


def _scheme(curve: "EllipticCurve") -> "ECDSA":
    """The hash that goes with a curve."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return ECDSA({256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[curve.key_size])


def write_signed(path: Path, statement: Mapping[str, Any], key: Path) -> str:
    """Write a statement's envelope, signed with a private key; returns the key's fingerprint.

    Raises: StateError: the key cannot be read, or is of another kind.
    """
    private = load_private(key)
    (fingerprint,) = public_of(key).keys
    body = digest.canonical(statement)
    signature = private.sign(_spelled(body), _scheme(private.curve))
    told = {"payload": base64.b64encode(body).decode(), "payloadType": TYPE}
    signed = {"keyid": fingerprint, "sig": base64.b64encode(signature).decode()}
    files.write_json(path, told | {"signatures": [signed]})
    return fingerprint


def read_signed(path: Path, trust: Trust) -> tuple[dict[str, Any], str]:
    """The statement in an envelope, and the fingerprint of the trusted key that signed it.

    Raises: IntegrityError: it is no envelope, nobody trusted signed it, or the signature is over other bytes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    raw = load_json(path)
    try:
        body = base64.b64decode(raw["payload"], validate=True)
        hint, signature = raw["signatures"][0]["keyid"], base64.b64decode(raw["signatures"][0]["sig"], validate=True)
        if raw["payloadType"] != TYPE or not isinstance(hint, str):
            raise ValueError
    except (KeyError, IndexError, TypeError, ValueError):
        raise IntegrityError("is not a signed statement", where=path, cure="Ask for the file again") from None
    key = serialization.load_pem_public_key(pem(trust.key(hint, path)))
    try:
        if not isinstance(key, EllipticCurvePublicKey):
            raise InvalidSignature
        key.verify(signature, _spelled(body), _scheme(key.curve))
    except InvalidSignature:
        raise IntegrityError("was signed over other bytes", where=path, cure="Do not trust it; ask for the file again") from None
    statement: dict[str, Any] = json.loads(body)
    return statement, hint
