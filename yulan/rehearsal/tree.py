"""What a tree looks like from outside: legal paths, folders with ids, and which files are large."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pathspec

from yulan import digest
from yulan.rehearsal.commits import Entry
from yulan.rehearsal.refused import Refused

LARGE = 10 << 20
"""Bytes above which a file is large whatever its name."""
SUFFIXES = (
    "7z arrow avro bin bz2 ckpt ftz gguf gz h5 joblib lfs.* lz4 mlmodel model msgpack npy npz onnx ot parquet pb "
    "pickle pkl pt pth rar safetensors tar.* tar tflite tgz wasm xz zip zst"
)
LFS = "filter=lfs diff=lfs merge=lfs -text"
GITATTRIBUTES = "".join(
    f"{pattern} {LFS}\n" for pattern in ([f"*.{name}" for name in SUFFIXES.split()] + ["saved_model/**/*", "*tfevents*"])
).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of a tree; `oid` changes with anything below it."""

    oid: str


def checked(path: str) -> str:
    """A path that stays inside the repo on every system.

    Raises: Refused: absolute, `..`, empty parts, control characters, backslashes, or git's own folder.
    """
    parts = path.split("/")
    if any(part in {"", ".", "..", ".git"} for part in parts) or "\\" in path or not path.isprintable() or len(path) > 1000:
        raise Refused(400, f"Not a legal path in a repository: {path!a}")
    return path


def fits(tree: Mapping[str, Entry]) -> None:
    """Raises: Refused: a name is a file and a folder at once."""
    for path in tree:
        parent = path
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            if parent in tree:
                raise Refused(400, f"{parent} is a file and a folder at once")


def listing(tree: Mapping[str, Entry], under: str, recursive: bool) -> dict[str, Entry | Folder]:
    """Files and folders below `under`, sorted by path."""
    prefix = f"{under}/" if under else ""
    rows: dict[str, Entry | Folder] = {}
    folders: dict[str, list[str]] = {}
    for path in sorted(path for path in tree if path.startswith(prefix)):
        parts = path[len(prefix) :].split("/")
        if recursive or len(parts) == 1:
            rows[path] = tree[path]
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            folders.setdefault(prefix + "/".join(parts[:depth]), []).append(path)
    for folder, paths in folders.items():
        rows[folder] = Folder(oid=digest.git_blob(digest.canonical([[path, tree[path].blob_id] for path in paths])))
    return dict(sorted(rows.items()))


def tracks(attributes: bytes) -> pathspec.GitIgnoreSpec:
    """The patterns that a .gitattributes file gives to LFS."""
    lines = (line.split() for line in attributes.decode("utf-8", "replace").splitlines() if not line.startswith("#"))
    return pathspec.GitIgnoreSpec.from_lines(words[0] for words in lines if "filter=lfs" in words[1:])


def ignores(gitignore: str) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(gitignore.splitlines())


def untracked(attributes: bytes, tree: Mapping[str, Entry]) -> Iterator[str]:
    """Large files that no pattern names yet; the hub adds a line for each of them."""
    spec = tracks(attributes)
    return (path for path, entry in tree.items() if entry.lfs and not spec.match_file(path))
