"""Generate text with the pinned local model and check its answers."""

import os
from importlib import metadata

from pipelines.stage import Stage, run
from yulan.data.synthesize import synthesize
from yulan.isa import isa
from yulan.manifest import Determinism


def work(stage: Stage) -> None:
    # Read when torch is imported. Threads that spin while they wait took ten times as long on a machine with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from yulan.data.synthesize.generate import Generator

    sources, _ = stage.open("sources")
    pinned, threads = stage.book.sources.require_generator(), stage.profile.processes * stage.profile.threads
    generator = Generator(sources.data / pinned.package / pinned.path, threads)
    settings, prompts = stage.recipe.data.synthesize, stage.layout.recipe_folder / "prompts"
    removed = stage.book.removed.ids
    made = synthesize(settings, stage.book.sources.sources, sources.data, prompts, generator, stage.place.data, removed)
    families = {
        name: {"asked": each.asked, "kept": each.kept, "yield": each.share, "verdicts": dict(each.verdicts)}
        for name, each in made.families.items()
    }
    stage.seal(
        keys=("data.synthesize",),
        summary={"generator": made.generator, "families": families},
        determinism=Determinism(
            isa=isa(), threads=threads, ranks=1, torch=metadata.version("torch"), zero=None, precision="fp32", attention="sdpa"
        ),
    )


if __name__ == "__main__":
    run("synthesize", work)
