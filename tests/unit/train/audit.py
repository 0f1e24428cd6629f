"""Publish honest and forged stretches and replay each, in one warm process: `python audit.py CLONE INTO`.

Writes INTO/verdicts.json: name -> what `yulan replay --json` prints.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.unit.train import forge
from tests.unit.train.audit_kit import BEGIN, END, alone, audited_recipe, copy_until, in_process, open_shop
from yulan import files
from yulan.train.checkpoint.scan import step_name
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.replay.run import replay
from yulan.train.replay.segment import before, cut, kept
from yulan.train.replay.verdict import verdict_json


def main() -> None:
    shop, into = open_shop(Path(sys.argv[1]), audited_recipe()), Path(sys.argv[2])
    verdicts = {}
    with in_process():
        base = shop.train(into / "base", BEGIN, alone())
        for name, act in ({"honest": forge.honest} | forge.TRAINING | {forge.FORGED_END: forge.honest}).items():
            run = copy_until(base, into / name, BEGIN)
            with act(BEGIN):
                shop.train(run, END, alone())
            if name == forge.FORGED_END:
                forge.forge_end(run / CHECKPOINTS / step_name(END), shop.recipe)
            end = kept(run)[-1]
            stretch = cut(before(end, shop.layout, shop.recipe), end)
            found = replay(
                stretch, shop.bench(alone()), into=None, band=None, band_at=None, challenge=None, look=lambda folder: lambda: None
            )
            verdicts[name] = verdict_json(found)
    files.write_json(into / "verdicts.json", verdicts)


if __name__ == "__main__":
    main()
