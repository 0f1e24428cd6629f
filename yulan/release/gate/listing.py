"""Rules about names and lists."""

from collections.abc import Iterator

from yulan import manifest
from yulan.errors import YulanError
from yulan.layout import shipped
from yulan.release.folder import RELEASE, check
from yulan.release.gate.bundle import Bundle
from yulan.release.names import PARTS
from yulan.schema import check as check_schema
from yulan.schema import load_json

SCHEMAS = {
    "manifest.json": "manifest",
    "card.json": "manifest",
    "release.json": "release",
    "evidence.json": "evidence",
    "evidence.zh.json": "evidence",
    "evidence.policy.json": "evidence",
    "evidence.training-content.json": "evidence",
    "evaluation.json": "evaluation",
    "state.json": "state",
    "tensors.json": "tensors",
    "watched.json": "watched",
    "pack.json": "pack",
    "shards.json": "shards",
    "index.json": "index",
    "families.json": "families",
    "contamination.json": "contamination",
    "scores.json": "scores",
}


def files_listed(bundle: Bundle) -> Iterator[str]:
    """Every file of a revision is listed once and is, byte for byte, as listed; none is unlisted."""
    for folder in bundle.folders:
        yield from (f"{folder}: {row}" for row in check(folder.path).differences)
        if folder.content.stage != RELEASE:
            yield f"{folder}: its manifest is one of a {folder.content.stage}"
        if folder.content.digest != bundle.release.part(folder.part).revisions[folder.name]:
            yield f"{folder}: release.json names another digest"
    known = {f"{folder}/" for folder in bundle.folders}
    for path in sorted(bundle.path.rglob("*")):
        name = bundle.name(path)
        if not path.is_dir() and name != "release.json" and not any(name.startswith(prefix) for prefix in known):
            yield f"{name} belongs to no revision"


def safe_names(bundle: Bundle) -> Iterator[str]:
    """No link, no special file, no name that is absolute, leaves its folder, hides characters or is another's twin."""
    for folder in bundle.folders:
        paths = sorted(folder.path.rglob("*"))
        yield from (
            f"{bundle.name(p)} is a link or special file" for p in paths if p.is_symlink() or not (p.is_file() or p.is_dir())
        )
        try:
            manifest.require_safe([p.relative_to(folder.path).as_posix() for p in paths if p.is_file()], folder.path)
        except YulanError as error:
            yield f"{folder}: {error.what}"


def schemas_valid(bundle: Bundle) -> Iterator[str]:
    """Every JSON file that another program may read obeys its schema."""
    for path in bundle.files():
        name = "manifest" if path.parent.name == "lineage" or "lineage" in path.parts[-3:-1] else SCHEMAS.get(path.name)
        if name is None or not (shipped("schemas") / f"{name}.json").is_file():
            continue
        try:
            check_schema(load_json(path), name, bundle.name(path))
        except YulanError as error:
            yield f"{bundle.name(path)}: {error.what}"


def three_pinned(bundle: Bundle) -> Iterator[str]:
    """The model pins the data and its own states by digest, and the states pin the data."""
    release = bundle.release
    if missing := [part for part in PARTS if not bundle.of(part)]:
        yield f"no {', '.join(missing)}"
    for folder in (*bundle.of("states"), *bundle.of("model")):
        inputs = folder.content.inputs
        pins = {name: digest for name, digest in inputs.items() if name.partition("/")[0] in PARTS}
        for name, digest in pins.items():
            part, _, revision = name.partition("/")
            if release.part(part).revisions.get(revision) != digest:  # type: ignore[arg-type]
                yield f"{folder} pins another {name}"
        wanted = {"model": {"data", "states"}, "states": {"states"} if folder.name == "main" else {"data"}}[folder.part]
        yield from (f"{folder} pins no {part}" for part in sorted(wanted - {name.partition("/")[0] for name in pins}))
