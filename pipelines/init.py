"""Write the weights before any step."""

from pipelines.stage import Stage, run
from yulan.model.shape import count
from yulan.train.checkpoint.initial import write_initial
from yulan.train.launch.job import CHECKPOINTS


def work(stage: Stage) -> None:
    write_initial(stage.place.data / CHECKPOINTS, stage.recipe)
    stage.seal(keys=("seed", "model"), summary={"parameters": count(stage.recipe.model)})


if __name__ == "__main__":
    run("init", work)
