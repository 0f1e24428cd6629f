"""Small real packages and sources to read from."""

import gzip
import json
import zipfile
from pathlib import Path

from yulan import digest
from yulan.recipe.sources import Benchmark, Generator, Package, Source, Sources

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(folder: Path, name: str, members: dict[str, bytes | str], version: str = "1.0") -> Package:
    """A wheel that pip takes, and its pin."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, data in members.items():
            wheel.writestr(member, data)
        wheel.writestr(f"{info}/METADATA", METADATA.format(name=name, version=version))
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/RECORD", "")
    return Package(version=version, file=path.name, sha256=digest.of_file(path), size=path.stat().st_size, licence="MIT")


def source(**changes: object) -> Source:
    keys: dict[str, object] = {
        "family": "code",
        "language": "code",
        "licence": "MIT",
        "attribution": "nobody",
        "hub": None,
        "package": "pack",
        "reader": "code",
        "options": {},
        "paths": ("pack/*.py",),
        "exclude": (),
    }
    return Source(**{**keys, **changes})  # type: ignore[arg-type]


def sources_of(package: Package, **changes: object) -> Sources:
    """One source, one benchmark and the generator, all in one package."""
    keys: dict[str, object] = {
        "packages": {"pack": package},
        "folders": {},
        "sources": {"code/pack": source()},
        "benchmarks": {
            "quiz": Benchmark(package="pack", hub=None, reader="questions", paths=("pack/quiz.jsonl.gz",), licence="MIT")
        },
        "generator": Generator(package="pack", path="pack/model.gguf", licence="MIT"),
    }
    return Sources(**{**keys, **changes})  # type: ignore[arg-type]


def quiz_row(identity: object, query: str, choices: list[str], gold: int = 0) -> dict[str, object]:
    return {"native_id": identity, "doc": {"query": query, "choices": choices, "gold": gold}}


def json_lines(*rows: object) -> bytes:
    """Rows as .jsonl.gz; bytes are taken as they are."""
    return gzip.compress(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))


QUIZ = json_lines(
    quiz_row("q1", "Question: Which planet is red?\nAnswer:", ["Venus", "Mars"], 1),
    quiz_row("q1", "Question: Which planet is red?\nAnswer:", ["Venus", "Mars"], 1),
    quiz_row(2, "Mars -- Mars is the fourth planet.\nQuestion: is mars the fourth planet?\nAnswer:", ["yes", "no"]),
)
MEMBERS: dict[str, bytes | str] = {
    "pack/__init__.py": '"""A package that is long enough to be kept."""\n',
    "pack/a.py": "def add(a, b):\n    return a + b\n",
    "pack/tests/b.py": "left = 'out'\n",
    "pack/quiz.jsonl.gz": QUIZ,
    "pack/model.gguf": b"\x00weights",
}


def contents(folder: Path) -> dict[str, bytes]:
    """Every byte below a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
