"""Pages like those of a crawl, with the faults that filters look for, made from the raw text of a built recipe."""

import random
from pathlib import Path

from yulan.data import frames
from yulan.data.documents import source_names

NOISE = (
    "Home | About | Contact | Sitemap",
    "This site uses cookies. Read our privacy policy and the terms of use.",
    "Please enable JavaScript to view the comments.",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    "Read more...",
    "Share on: Facebook - Twitter - Mail",
    "function() { return document.title; }",
    "### ### ###",
    "Click here! Click here! Click here! Click here! Click here!",
    "Posted by admin at 10:32",
    "2019 2020 2021 2022 2023 2024",
)


def pages(raw: Path, megabytes: float, seed: int) -> list[str]:
    """About so much English text: three in ten documents as they are, the others several in one page with noise between them."""
    draw = random.Random(seed)
    names = [name for name in source_names(raw) if not name.startswith("zh/")]
    texts = {name: frames.read(frames.parts(raw, name))["text"].to_pylist() for name in names}
    prose = [text for name in names if name.startswith("en/") for text in texts[name]]
    made: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        made.append(draw.choice(texts[draw.choice(names)])[:20_000] if draw.random() < 0.3 else _page(prose, draw))
        size += len(made[-1])
    return [text for text in made if text.strip()]


def _page(prose: list[str], draw: random.Random) -> str:
    parts = [draw.choice(prose) for _ in range(draw.randint(1, 12))]
    fault = draw.random()
    if fault < 0.1:
        parts += [draw.choice(parts)] * draw.randint(1, 3)
    elif fault < 0.2:
        parts = [f"- {line[:60]}" for part in parts for line in part.split(". ")]
    elif fault < 0.3:
        parts = [line[: draw.randint(20, 60)] + "..." for part in parts for line in part.split(". ")]
    for _ in range(draw.choice((0, 0, 1, 2, 5))):
        parts.insert(draw.randint(0, len(parts)), draw.choice(NOISE))
    return draw.choice(("\n", "\n\n")).join(parts)
