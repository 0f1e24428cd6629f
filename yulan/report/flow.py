"""The data pipeline as a picture: how much text of each family goes through, and what is dropped where and why."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from yulan.report.drawing import Drawing
from yulan.report.facts import Facts, in_words
from yulan.report.ink import Ink, colours

STAGES = {"raw": "raw", "clean": "cleaned", "dedup": "de-duplicated", "decontaminated": "decontaminated", "train": "shards"}
"""Columns. `train` is what the mixes draw from; what is held out leaves before it."""
WIDTH, LEFT, RIGHT, TOP = 1000, 150, 140, 76
COLUMN = 12
FLOW = 280
"""Pixels that the largest column's bytes fill."""
GAP = 7
REASONS = 6
"""Reasons that are named at a drop; the table has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    stage: str
    x: float
    sizes: dict[str, int]
    """Family -> bytes."""
    tops: dict[str, float]
    heights: dict[str, float]
    bottom: float


def draw(facts: Facts, ink: Ink) -> str:
    """SVG: a column for each stage, a ribbon for each family; width is bytes, numbers are documents."""
    columns = _columns(facts)
    palette = colours(facts.families)
    floor = max(column.bottom for column in columns) + 54
    reasons = max(len(_reasons(facts, column.stage)) for column in columns[:-1])
    picture = Drawing(
        WIDTH, floor + 30 + 15 * min(reasons, REASONS), ink, "Data pipeline: text through the stages, with what each drops"
    )
    for before, after in pairwise(columns):
        _ribbons(picture, before, after, palette, floor)
        _dropped(picture, facts, after, floor)
    for column in columns:
        _heading(picture, facts, column)
        for family, top in column.tops.items():
            picture.box(column.x, top, COLUMN, column.heights[family], palette[family], radius=2)
    _ends(picture, facts, columns[0], columns[-1])
    return picture.svg()


def _columns(facts: Facts) -> list[Column]:
    sizes: dict[str, dict[str, int]] = {}
    for stage in STAGES:
        # What `synthesize` makes joins beside the cleaned text.
        stages = {stage, "synthesize"} if stage == "clean" else {stage}
        total: Counter[str] = Counter()
        for count in facts.counts:
            if count.stage in stages:
                total[count.family] += count.bytes
        sizes[stage] = dict(total)
    most = max((sum(here.values()) for here in sizes.values()), default=0) or 1
    step = (WIDTH - LEFT - RIGHT - COLUMN) / (len(STAGES) - 1)
    columns = []
    for number, (stage, here) in enumerate(sizes.items()):
        tops, heights, y = {}, {}, float(TOP)
        for family in (f for f in facts.families if here.get(f)):
            tops[family], heights[family] = y, max(1.5, here[family] / most * FLOW)
            y += heights[family] + GAP
        columns.append(Column(stage=stage, x=LEFT + number * step, sizes=here, tops=tops, heights=heights, bottom=y))
    return columns


def _ribbons(picture: Drawing, before: Column, after: Column, palette: dict[str, str], floor: float) -> None:
    start, end = before.x + COLUMN, after.x
    sunk = 0.0
    for family, top in before.tops.items():
        height, stays = before.heights[family], min(before.heights[family], after.heights.get(family, 0))
        if lost := height - stays:
            # What is lost bends down to the reasons below the next column.
            picture.band(start, top + stays, end - 26, floor - 14 + sunk * 0.2, lost, lost * 0.2, palette[family], 0.2)
            sunk += lost
        if stays:
            picture.band(start, top, end, after.tops[family], stays, stays, palette[family], 0.5)


def _reasons(facts: Facts, stage: str) -> list[tuple[str, int]]:
    """Why documents left on their way to a stage, most frequent first."""
    found: Counter[str] = Counter()
    for drop in facts.drops:
        if drop.stage == stage or (drop.stage == "synthesize" and stage == "clean"):
            found[drop.reason.replace("_", " ").replace("-", " ")] += drop.documents
    return [(name, number) for name, number in found.most_common() if number]


def _dropped(picture: Drawing, facts: Facts, after: Column, floor: float) -> None:
    """Documents that left between two columns, by reason."""
    x, y = after.x - 26, floor + 10
    if after.stage == "train":
        held = sum(count.documents for count in facts.counts if count.stage == "held")
        picture.text(x, y, f"− {held:,} held out", weight=700, anchor="middle")
        return
    rows = _reasons(facts, after.stage)
    picture.text(x, y, f"− {sum(n for _, n in rows):,} dropped", weight=700, anchor="middle")
    if len(rows) > REASONS:
        rest = rows[REASONS - 1 :]
        rows = [*rows[: REASONS - 1], (f"{len(rest)} more reasons", sum(n for _, n in rest))]
    for number, (name, documents) in enumerate(rows, 1):
        picture.text(x, y + 3 + 15 * number, f"{name}  {documents:,}", fill=picture.ink.muted, size=11, anchor="middle")


def _heading(picture: Drawing, facts: Facts, column: Column) -> None:
    stages = {column.stage, "synthesize"} if column.stage == "clean" else {column.stage}
    documents = sum(count.documents for count in facts.counts if count.stage in stages)
    middle = column.x + COLUMN / 2
    picture.text(middle, 24, STAGES[column.stage], size=14, weight=700, anchor="middle")
    about = f"{documents:,} documents"
    picture.text(middle, 42, about, fill=picture.ink.muted, size=11.5, anchor="middle")
    tokens = sum(count.tokens for count in facts.counts if count.stage == column.stage)
    size = in_words(sum(column.sizes.values()), "B") + (f" · {in_words(tokens)} tokens" if tokens else "")
    picture.text(middle, 58, size, fill=picture.ink.muted, size=11.5, anchor="middle")


def _ends(picture: Drawing, facts: Facts, first: Column, last: Column) -> None:
    """Names of the families at both ends, moved apart where ribbons are thin."""
    for column, x, anchor in ((first, first.x - 10, "end"), (last, last.x + COLUMN + 10, "start")):
        y = 0.0
        for family, top in column.tops.items():
            y = max(y + 31, top + column.heights[family] / 2 - 3)
            tokens = sum(c.tokens for c in facts.counts if c.stage == column.stage and c.family == family)
            about = f"{in_words(tokens)} tokens" if tokens else in_words(column.sizes[family], "B")
            picture.text(x, y, family, size=12.5, weight=700, anchor=anchor)
            picture.text(x, y + 14, about, fill=picture.ink.muted, size=11, anchor=anchor)
