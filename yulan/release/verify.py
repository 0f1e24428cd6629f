"""Check every byte of a folder against its lists, without torch and without a network."""

from pathlib import Path

from yulan.errors import IntegrityError
from yulan.release.folder import Checked, check


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
