"""Check every byte of a folder against its lists, and the lists against a signature, without torch and without a network."""

from pathlib import Path

from yulan.errors import IntegrityError
from yulan.release.folder import CARD_SIGNATURE, SIGNATURE, Checked, check
from yulan.release.sign import LARGEST, Signed, require_signed
from yulan.release.trust import Trust


def verify_folder(folder: Path) -> Checked:
    """Raises: IntegrityError: a file is missing, changed, not listed, or a link; each one is named."""
    found = check(folder)
    if found.differences:
        raise IntegrityError(
            "does not match its manifest",
            where=folder,
            cure="Restore it with: dvc checkout, or pull it again into another folder",
            evidence=found.differences,
        )
    return found


def verify_signature(folder: Path, found: Checked, trust: Trust) -> Signed:
    """Hold a folder that is as listed against its signatures.

    Raises: IntegrityError: one is missing or damaged, by a key that is not trusted, or over other bytes; the file is named.
    """
    raw = {}
    for name in (SIGNATURE, CARD_SIGNATURE):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                raw[name] = file.read(LARGEST)
    return require_signed(raw, found.sums, trust, folder)
