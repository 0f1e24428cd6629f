"""Generate text with the recipe's model and check its answers."""

import os
from importlib import metadata

from pipelines.stage import Stage, run
from yulan import digest, files
from yulan.data.synthesize import Families, read_templates, synthesize
from yulan.data.synthesize.engine import Engine
from yulan.data.synthesize.ledger import SEALED, Ledger
from yulan.isa import isa
from yulan.manifest import Determinism


def work(stage: Stage) -> None:
    settings, prompts = stage.recipe.data.synthesize, stage.layout.recipe_folder / "prompts"
    sources, _ = stage.open("sources")
    engine, exact = _engine(stage)
    # Whatever an answer depends on: with another digest the ledger is another one, and nothing of it is taken over.
    depends = {
        "keys": stage.recipe.keys("data.synthesize"),
        "inputs": stage.inputs,
        "templates": read_templates(settings, prompts),
        "engine": engine.digest,
        "exact": [exact.isa, exact.threads, exact.torch] if exact else None,
    }
    folder = stage.layout.runs("synthesize", digest.of_json(depends))
    ledger = Ledger(folder)
    made = synthesize(
        settings, stage.book.sources.sources, sources.data, prompts, engine, ledger, stage.place.data, stage.book.removed.ids
    )
    sealed = stage.seal(
        keys=("data.synthesize",),
        summary={"generator": made.generator, "families": _told(made)},
        determinism=exact,
        warnings=[f"{name} was not asked: {each.skipped}" for name, each in made.families.items() if each.skipped],
    )
    files.write_json(folder / SEALED, {"content": sealed.digest})


def _engine(stage: Stage) -> tuple[Engine, Determinism | None]:
    """The model, and what its answers depend on besides; an endpoint promises nothing of the kind."""
    if stage.recipe.data.synthesize.model is not None:
        from yulan.data.synthesize.endpoint import Remote

        return Remote(stage.recipe.data.synthesize.model, stage.profile.endpoint), None
    # Read when torch is imported. Threads that spin while they wait took ten times as long on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from yulan.data.synthesize.generate import Generator, Local

    pinned, threads = stage.book.sources.require_generator(), stage.profile.processes * stage.profile.threads
    generator = Generator(stage.layout.stage("sources").data / pinned.package / pinned.path, threads)
    torch = metadata.version("torch")
    exact = Determinism(isa=isa(), threads=threads, ranks=1, torch=torch, zero=None, precision="fp32", attention="sdpa")
    return Local(generator, stage.recipe.data.synthesize.batch), exact


def _told(made: Families) -> dict[str, object]:
    return {
        name: {
            "questions": each.questions,
            "asked": each.asked,
            "kept": each.kept,
            "yield": each.share,
            "any": each.any,
            "all": each.all,
            "mean": each.mean,
            "verdicts": dict(each.verdicts),
            **({"skipped": each.skipped} if each.skipped else {}),
        }
        for name, each in made.families.items()
    }


if __name__ == "__main__":
    run("synthesize", work)
