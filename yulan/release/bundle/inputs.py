"""What a release is made of: folders of finished stages, and what their manifests call themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import files
from yulan.errors import DataError
from yulan.recipe import Book
from yulan.release.export import End, begin_of, kept_of

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    book: Book
    root: Path
    """The clone: `recipes/` and `LICENSE` lie there."""
    ends: tuple[End, ...]
    """The last checkpoint of each phase, in the recipe's order."""
    exported: Path
    shards: Path
    scored: Path
    text: Path
    """Where the documents' text lies, as it was made into tokens."""
    synthesize: Path
    index: Path
    decontaminated: Path
    figures: Path
    trained: Mapping[str, Path]
    evaluated: Mapping[str, Path]
    mixes: Mapping[str, Path]
    """By phase."""
    digests: Mapping[str, str]
    """Content digest of each upstream artifact: `train@phase-01` and so on."""
    lineage: Mapping[str, Path]
    """Manifest of every stage that led here, by `stage[/phase]`."""

    @property
    def recipe_file(self) -> str:
        return f"recipes/{self.book.recipe.name}/recipe.yaml"

    @property
    def used(self) -> tuple[str, ...]:
        """Sources that a mix draws on, sorted."""
        mixes = (self.book.mix(phase) for phase in self.book.recipe.phases)
        return tuple(sorted({name for mix in mixes for name, part in mix.sources.items() if part.weight}))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Those of them whose licence nobody stated."""
        return tuple(name for name in self.used if self.book.sources.sources[name].licence == UNKNOWN)

    @property
    def main(self) -> End:
        """The final that `main` serves: the one leaf whose name has no variant.

        Raises: DataError: there is none, or more than one.
        """
        plain = [end for end in self.ends if end.final and end.phase.count("-") == 1]
        if len(plain) != 1:
            raise DataError(f"{len(plain)} finals without a variant", where="$.phases", cure="Let one leaf be called phase-NN")
        return plain[0]

    @property
    def begins(self) -> tuple[End, ...]:
        """What phases began re-balanced with, in the recipe's order. Published among the states: it is no model of its own.

        Raises: DataError: one is not there.
        """
        recipe = self.book.recipe
        return tuple(begin_of(recipe, name, self.trained[name]) for name, phase in recipe.phases.items() if phase.rebalance)

    @property
    def kept(self) -> tuple[End, ...]:
        """Checkpoints before the end of their phase, published among the states for those who replay or restore."""
        recipe = self.book.recipe
        return tuple(end for name in recipe.phases for end in kept_of(recipe, name, self.trained[name]))

    def parent_of(self, begin: End) -> End:
        """What a phase that begins re-balanced was made from: its parent's end."""
        return next(end for end in self.ends if end.phase == self.book.recipe.phase(begin.phase).after)

    def end_of(self, begin: End) -> End:
        """The end of the phase that one begins or lies in."""
        return next(end for end in self.ends if end.phase == begin.phase)

    def tags(self) -> dict[str, str]:
        """Tag -> revision: `final`, `final-<variant>`, and `before-annealing`, the last stable phase's end."""
        found = {}
        for end in self.ends:
            if end.final:
                variant = end.phase.split("-", 2)[2:]
                found["-".join(["final", *variant])] = end.revision
        path = self.book.recipe.path(self.main.phase)
        stable = [phase for phase in path if self.book.recipe.phase(phase).regime != "anneal"]
        if stable and stable[-1] != self.main.phase:
            found["before-annealing"] = next(end.revision for end in self.ends if end.phase == stable[-1])
        return found

    def common(self) -> dict[str, Any]:
        """What every card's template is given."""
        recipe = self.book.recipe
        release = recipe.release
        languages = {self.book.sources.sources[name].language for name in self.used} - {"code", "mul"}
        return {
            "name": release.repo,
            "title": release.repo.partition("/")[2],
            "recipe": recipe.name,
            "recipe_file": self.recipe_file,
            "licences": release.licences,
            "unknown": self.unknown,
            "unknown_licence": release.unknown_licence or "",
            "limitations": release.limitations,
            "intended_use": release.intended_use,
            "languages": sorted(languages),
        }

    def place_pictures(self, folder: Path, wanted: Mapping[str, str]) -> dict[str, str]:
        """Put the pictures of `wanted` (name -> caption) that were drawn into `figures/`; returns those."""
        drawn = {name: caption for name, caption in wanted.items() if (self.figures / f"{name}.png").is_file()}
        for name in drawn:
            for kind in ("png", "svg"):
                files.link(self.figures / f"{name}.{kind}", folder / "figures" / f"{name}.{kind}")
        return drawn

    def place_common(self, folder: Path, *licences: str) -> None:
        """The recipe, the licences and the citation, in every revision: each is complete by itself."""
        name = self.book.recipe.name
        for path in sorted((self.root / "recipes" / name).rglob("*")):
            if path.is_file():
                files.copy(path, folder / path.relative_to(self.root))
        if licences == ("MIT",):
            files.copy(self.root / "LICENSE", folder / "LICENSE")
        else:
            pages = "".join(f"https://spdx.org/licenses/{licence}.html\n" for licence in licences)
            files.write_text(folder / "LICENSE", f"SPDX-License-Identifier: {' AND '.join(licences)}\n{pages}")
        files.copy(self.root / "CITATION.cff", folder / "CITATION.cff")
