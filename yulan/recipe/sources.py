"""sources.yaml: which files of which pinned packages hold which text, and under which licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import RecipeError
from yulan.manifest import File
from yulan.recipe.outcome import PASSED_ON
from yulan.schema import Scalar, check, load_yaml, structure, suggest

TOKENS = "tokens"
"""The reader of a source that was published as token files: its mixes list them, and it has no text."""
SPLIT = "split"
"""The reader of a path that `data.score` makes of a source, which the option `of` names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One file of a package registry, pinned."""

    version: str
    file: str
    """Name of the wheel or archive."""
    sha256: str
    size: int
    """Bytes."""
    licence: str
    """SPDX id as the package shows it, or `unknown`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """Files that lie elsewhere than in a package registry."""

    address: str
    """`hf://datasets/OWNER/NAME@COMMIT`, or `s3://BUCKET/PREFIX`."""
    licence: str
    """SPDX id, or `unknown`."""
    files: tuple[File, ...]
    """Those of it that may be used, pinned one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where text comes from; its key is a path like `web/cci2`."""

    family: str
    language: str
    """ISO 639-1, `code`, or `mul` for several."""
    licence: str
    """SPDX id of the text, or `unknown`."""
    attribution: str
    """Whom the licence asks to name."""
    hub: str | None
    """Where the text was published: an id on the Hub, an address elsewhere, or `unknown`."""
    package: str | None
    """Key in `packages` or `folders`."""
    reader: str
    """How documents are read from the files: a name in yulan/data/readers."""
    options: Mapping[str, Scalar]
    """The reader's own."""
    paths: tuple[str, ...]
    """Glob patterns inside the package or folder."""
    exclude: tuple[str, ...]
    """Glob patterns that are left out."""

    @property
    def synthetic(self) -> bool:
        """Made by `synthesize`: neither published by others nor in a package."""
        return self.package is None and self.hub is None

    @property
    def packaged(self) -> bool:
        """Read from the files of a package: neither made here, nor published elsewhere, nor a path of another source."""
        return self.package is not None and self.reader != SPLIT

    @property
    def tokenised(self) -> bool:
        """Published as token files, of which the option `repo` names the data set and `column` the lists of ids."""
        return self.reader == TOKENS


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """Items a recipe evaluates on, and therefore decontaminates against."""

    package: str | None
    """Key in `packages`."""
    hub: str | None
    """Its id on the Hub; null: it is in `package`."""
    reader: str
    paths: tuple[str, ...]
    licence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Generator:
    """The local model that synthesises text."""

    package: str
    path: str
    """The model file inside the package."""
    licence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    packages: Mapping[str, Package]
    folders: Mapping[str, Folder]
    """No name is a package's too."""
    sources: Mapping[str, Source]
    benchmarks: Mapping[str, Benchmark]
    generator: Generator | None
    """Null: the recipe makes no text."""

    def __post_init__(self) -> None:
        for name in self.folders:
            if name in self.packages:
                raise RecipeError(f"{name!r} is a package and a folder", where=f"$.folders.{name}", cure="Rename one of them")
        given = {f"$.sources.{k}.package": v.package for k, v in self.sources.items() if v.package is not None}
        named = {where: package for where, package in given.items() if package not in self.folders}
        named |= {f"$.benchmarks.{k}.package": v.package for k, v in self.benchmarks.items() if v.package is not None}
        if self.generator is not None:
            named["$.generator.package"] = self.generator.package
        for where, package in named.items():
            if package not in self.packages:
                raise RecipeError(
                    f"no package {package!r}", where=where, cure=suggest(package, sorted((*self.packages, *self.folders)))
                )
        for name, benchmark in self.benchmarks.items():
            if (benchmark.package is None) == (benchmark.hub is None):
                raise RecipeError(
                    "a benchmark lies in a package or on the Hub",
                    where=f"$.benchmarks.{name}",
                    cure="Name one, the other is null",
                )
        for name, source in self.sources.items():
            told = {type(source.options.get(option)) for option in ("repo", "column")}
            if source.tokenised and (source.package is not None or told != {str}):
                raise RecipeError(
                    "token files lie in no package, and their options are repo and column",
                    where=f"$.sources.{name}",
                    cure="Write package: null, options: {repo: OWNER/NAME, column: input_ids}",
                )
        twins = {name.lower(): name for name in self.sources}
        for name in self.sources:
            # Sources become folders, and some file systems know no case.
            if twins[name.lower()] != name:
                raise RecipeError(
                    f"{name} and {twins[name.lower()]} differ in case only", where=f"$.sources.{name}", cure="Rename one of them"
                )

    @property
    def textless(self) -> bool:
        """Whether every source is token files, so that there is no text to work on."""
        return all(source.tokenised for source in self.sources.values())

    def require_passed_on(self, name: str, where: str) -> None:
        """Raises: RecipeError: no such source, or its text is not anyone's to pass on."""
        if name not in self.sources:
            raise RecipeError(f"no source named {name!r}", where=where, cure=suggest(name, sorted(self.sources)))
        source = self.sources[name]
        if source.package is None:
            raise RecipeError(f"{name} has no text of others", where=where, cure="Leave it out")
        if source.licence not in PASSED_ON:
            raise RecipeError(
                f"the licence of {name} is {source.licence}, which does not let its text be passed on",
                where=where,
                cure=f"Leave it out, or choose one under: {', '.join(sorted(PASSED_ON))}",
            )

    def require_generator(self) -> Generator:
        """Raises: RecipeError: there is none."""
        if self.generator is None:
            raise RecipeError(
                "the recipe names no generator",
                where="sources.yaml: $.generator",
                cure="Name a model, or leave $.data.synthesize.families empty",
            )
        return self.generator


def load_sources(path: Path) -> Sources:
    """Raises: RecipeError: the file breaks its schema or names a package it does not list."""
    raw = load_yaml(path)
    check(raw, "sources", path)
    try:
        return structure(raw, Sources)
    except RecipeError as error:
        raise RecipeError(error.what, where=f"{path}: {error.where}", cure=error.cure) from None
