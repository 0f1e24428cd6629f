"""The card of what `yulan continue` wrote: its parent, and what may be claimed. No figure of quality: none was measured."""

from pathlib import Path

from yulan.release.card.write import citation, write_cards
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.onward import RECORD, read_record


def write_continued(folder: Path) -> None:
    """README.md and README.zh.md with their evidence, from continued.json and the last checkpoint's state.

    Raises: DataError: no continued.json, or it breaks its schema.
    """
    last = step_name(steps_in(folder / CHECKPOINTS)[-1])
    told = read_record(folder)
    write_cards(folder, "continued", {}, record=RECORD, told=told, last=f"{CHECKPOINTS}/{last}", citation=citation())
