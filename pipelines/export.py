"""Write each phase's last checkpoint as a model folder, the finals folded into plain Llama."""

from pipelines.stage import Stage, run
from yulan.model.shape import count, folded_count
from yulan.release.export import DTYPE, end_of, export


def work(stage: Stage) -> None:
    tokenizer, _ = stage.open("tokenizer")
    revisions = {}
    for phase in stage.recipe.phases:
        trained, _ = stage.open("train", phase)
        end = end_of(stage.recipe, phase, trained.data)
        export(end, stage.recipe, tokenizer.data, stage.place.data / end.revision)
        revisions[phase] = {"revision": end.revision, "architecture": end.architecture}
    summary = {"parameters": count(stage.recipe.model), "parameters_folded": folded_count(stage.recipe.model), "dtype": DTYPE}
    stage.seal(keys=("model", "phases", "data.tokenizer"), summary=summary | {"revisions": revisions})


if __name__ == "__main__":
    run("export", work)
