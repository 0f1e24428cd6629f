"""What a curriculum reads: shares of each phase's tokens by family or language, as a table and as a stacked area."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan import files
from yulan.recipe import Book

Kind = Literal["family", "language"]
KINDS: tuple[Kind, ...] = ("family", "language")
MOST = 9
"""Names that are drawn apart; colours come again after ten."""
REST = "rest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Tokens of each name in each phase of one path."""

    kind: Kind
    phases: tuple[str, ...]
    names: tuple[str, ...]
    """The largest on the whole path first."""
    tokens: tuple[tuple[int, ...], ...]
    """By phase, then by name."""

    def share(self, phase: int, name: int) -> float:
        return self.tokens[phase][name] / sum(self.tokens[phase])


def shares(book: Book, kind: Kind, final: str) -> Shares:
    """Quotas along the path to `final`, summed by a property of the sources."""
    path = book.recipe.path(final)
    counts = []
    for name in path:
        phase = book.recipe.phase(name)
        found = Counter[str]()
        for source, tokens in book.mix(name).quotas(phase.steps * phase.step_tokens).items():
            found[getattr(book.sources.sources[source], kind)] += tokens
        counts.append(found)
    names = tuple(name for name, _ in sum(counts, Counter[str]()).most_common())
    return Shares(kind=kind, phases=path, names=names, tokens=tuple(tuple(c[n] for n in names) for c in counts))


def table(found: Shares) -> str:
    """CSV: a row a phase, tokens of each name."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["phase", *found.names])
    rows.writerows([phase, *tokens] for phase, tokens in zip(found.phases, found.tokens, strict=True))
    return out.getvalue()


def lines(found: Shares) -> list[str]:
    """The same as shares, to be read."""
    wide = [max(len(name), 6) for name in found.names]
    head = " ".join(f"{name:>{w}}" for name, w in zip(found.names, wide, strict=True))
    body = [
        f"{phase:14} " + " ".join(f"{found.share(i, j):>{w}.1%}" for j, w in enumerate(wide))
        for i, phase in enumerate(found.phases)
    ]
    return [f"{'phase':14} {head}", *body]


def area_svg(found: Shares) -> str:
    """A stacked area over the phases; all but the nine names that are largest in some phase are drawn as `rest`."""
    import altair as alt
    import vl_convert

    from yulan.report.charts import finished
    from yulan.report.ink import FILE, colours

    most = sorted(range(len(found.names)), key=lambda j: -max(found.share(i, j) for i in range(len(found.phases))))[:MOST]
    shown = [found.names[j] for j in sorted(most)]
    rows = []
    for i, phase in enumerate(found.phases):
        parts = {found.names[j]: found.share(i, j) for j in sorted(most)}
        if len(found.names) > MOST:
            parts[REST] = 1 - sum(parts.values())
        rows += [{"phase": phase, "name": name, "order": j, "share": share} for j, (name, share) in enumerate(parts.items())]
    palette = colours([*shown, REST] if len(found.names) > MOST else shown)
    scale = alt.Scale(domain=list(palette), range=list(palette.values()))
    area = (
        alt.Chart(alt.Data(values=rows))
        .mark_area(line=False)
        .encode(
            x=alt.X("phase:O", sort=list(found.phases), title=None, axis=alt.Axis(labelAngle=-60, grid=False)),
            y=alt.Y("share:Q", stack="normalize", title="share of the phase's tokens", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("name:N", scale=scale, title=None),
            order=alt.Order("order:Q"),
        )
    )
    svg: str = vl_convert.vegalite_to_svg(finished(alt.layer(area), FILE), allowed_base_urls=[])
    return svg


def draw_curriculum(book: Book, final: str, into: Path) -> tuple[Path, ...]:
    """Write `data-<kind>.svg` and `data-<kind>.csv`."""
    written = []
    for kind in KINDS:
        found = shares(book, kind, final)
        written.append(files.write_text(into / f"data-{kind}.csv", table(found)))
        written.append(files.write_text(into / f"data-{kind}.svg", area_svg(found)))
    return tuple(written)
