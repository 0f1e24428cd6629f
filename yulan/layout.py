"""The only spelling of paths: where each artifact, record, run and shipped file lives."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import RecipeError, StateError

MANIFEST = "manifest.json"
DATA = "data"


def shipped(kind: str) -> Path:
    """Folder of `schemas` or `profiles`: in the clone while developing, inside the package once installed."""
    package = Path(__file__).resolve().parent
    inside = package / kind
    clone = {"schemas": package.parent / "schemas", "profiles": package.parent / "pipelines" / "profiles"}[kind]
    return inside if inside.is_dir() else clone


def find_root(start: Path | None = None) -> Path:
    """The clone that `start` (default: the working folder) lies in.

    Raises: StateError: no dvc.yaml in it or above it.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "recipes").is_dir():
            return folder
    raise StateError("not inside a clone of this project", where=here, cure="Change into the clone, then run the command again")


def recipe_names(root: Path) -> list[str]:
    return sorted(p.parent.name for p in (root / "recipes").glob("*/recipe.yaml"))


def recipe_file(root: Path, name: str) -> Path:
    """Raises: RecipeError: no such recipe."""
    path = root / "recipes" / name / "recipe.yaml"
    if name not in recipe_names(root):
        known = ", ".join(recipe_names(root)) or "none"
        raise RecipeError(f"no recipe named {name!r}", where="recipes", cure=f"Choose one of: {known}")
    return path


def require_clone_environment(root: Path) -> None:
    """A stage must run with the clone's own .venv, whose versions are the lock's.

    Raises: StateError: another Python runs it.
    """
    own = root / ".venv"
    if Path(sys.prefix).resolve() != own.resolve():
        raise StateError(
            "this is not the clone's environment", where=sys.prefix, cure="Run it as: make repro, or .venv/bin/dvc repro"
        )


def contain(root: Path) -> None:
    """Keep what libraries write of their own accord inside the clone, and their telemetry off; what is set already stays."""
    cache = root / ".cache"
    os.environ.setdefault("HF_HOME", str(cache / "huggingface"))
    # The last one: pip asks rustc for its version, and rustup's stand-in for rustc makes its home to answer.
    for name in ("MPLCONFIGDIR", "NLTK_DATA", "TRITON_HOME", "XDG_CACHE_HOME", "RUSTUP_HOME"):
        os.environ.setdefault(name, str(cache))
    for name in ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "HF_HUB_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One artifact folder: the manifest beside the data it lists."""

    folder: Path

    @property
    def data(self) -> Path:
        """The DVC output."""
        return self.folder / DATA

    @property
    def manifest(self) -> Path:
        """The content half; in git."""
        return self.folder / MANIFEST


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Paths of one recipe in one clone."""

    root: Path
    recipe: str

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts" / self.recipe

    def stage(self, name: str, phase: str | None = None) -> Place:
        """`stage("clean")` or `stage("train", "phase-01")`."""
        return Place(folder=self.artifacts / name / phase if phase else self.artifacts / name)

    def parent(self, phase_after: str) -> Place:
        """Where the checkpoints of a phase's parent are: `init`, or the training of another phase."""
        return self.stage("init") if phase_after == "init" else self.stage("train", phase_after)

    def record(self, content: str) -> Path:
        """The record half of the artifact with this content digest."""
        return self.artifacts / "records" / f"{content}.json"

    @property
    def recipe_folder(self) -> Path:
        return self.root / "recipes" / self.recipe

    @property
    def downloads(self) -> Path:
        """What `sources` fetched, by sha256; never repeated."""
        return self.root / ".cache" / "downloads"

    @property
    def token_files(self) -> Path:
        """What `yulan data fetch` brought, by published path."""
        return self.root / ".cache" / "token-files"

    @property
    def restored(self) -> Path:
        """What `yulan restore` has brought so far, by sha256; gone once it ends well."""
        return self.root / ".cache" / "restore"

    @property
    def ray(self) -> Path:
        """What a Ray cluster that a stage starts writes: sockets and logs, gone when the stage ends."""
        return self.root / ".cache" / "ray"

    @property
    def spans(self) -> Path:
        """The optional index of spans of token text."""
        return self.root / ".cache" / "spans" / self.recipe

    @property
    def tracking(self) -> Path:
        """MLflow's SQLite store."""
        return self.root / ".mlflow" / "mlflow.db"

    def runs(self, phase: str, digest: str) -> Path:
        """A working folder of a phase's trainer or of a data stage, outside DVC: DVC deletes a stage's outputs before it runs."""
        return self.root / "runs" / self.recipe / phase / digest[:16]

    @property
    def removals(self) -> Path:
        """What each request to remove a document touched; in git."""
        return self.artifacts / "removals"

    @property
    def rehearsal(self) -> Path:
        """Storage of the local hub that `make repro` publishes to."""
        return self.root / ".rehearsal"

    def spend(self) -> Path:
        """What `yulan allow-spend` wrote."""
        return self.root / "runs" / self.recipe / "allowed.json"
