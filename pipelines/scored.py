"""Recall topics and score quality: a source is split into the paths that mixes name."""

from pipelines.engine import engine
from pipelines.stage import Stage, run
from yulan.data.score.split import score


def work(stage: Stage) -> None:
    text, _ = stage.open("dedup")
    used = [stage.book.mix(phase) for phase in stage.recipe.phases]
    # Only to refuse early: what is written does not depend on the mixes, so this stage does not either.
    wanted = {name for mix in used for name, part in mix.sources.items() if part.weight}
    rules = stage.recipe.data.score
    with engine(stage, "data.score") as partitions:
        made = score(rules, stage.layout.recipe_folder, text.data, stage.place.data, partitions, wanted=wanted)
    stage.seal(keys=("data.score",), summary=made.summary())


if __name__ == "__main__":
    run("scored", work)
