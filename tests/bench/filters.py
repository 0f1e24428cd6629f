"""Our filters against datatrove's on the same text: `python -m tests.bench.filters [--megabytes 40]`, after `make peers`.

Prints where the decisions differ, by reason, and how much faster ours are. The text is cut into eight slices that both judge in
turns, each in one process and started before; ratios are of slices.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.bench import pairs
from tests.bench.pages import pages
from tests.bench.pairs import Aim
from tests.bench.turns import Turn, Watch, lines_of, told
from yulan.data.clean import judge
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.cleaning import Treatment
from yulan.recipe.sources import Source
from yulan.schema import plain, structure

SLICES = 8
CHAIN = ("gopher-lines", "gopher-ngrams", "gopher-quality", "c4", "fineweb")
NAMES = {
    "dup_para_frac": "gopher-repeated-paragraphs",
    "dup_para_char_frac": "gopher-repeated-paragraph-chars",
    "dup_line_frac": "gopher-repeated-lines",
    "dup_line_char_frac": "gopher-repeated-line-chars",
    **{f"top_{n}_gram": f"gopher-top-{n}-gram" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"gopher-repeated-{n}-grams" for n in range(5, 11)},
    "gopher_short_doc": "gopher-short",
    "gopher_long_doc": "gopher-long",
    "gopher_below_avg_threshold": "gopher-short-words",
    "gopher_above_avg_threshold": "gopher-long-words",
    "gopher_too_many_hashes": "gopher-hashes",
    "gopher_too_many_ellipsis": "gopher-ellipses",
    "gopher_too_many_bullets": "gopher-bullets",
    "gopher_too_many_end_ellipsis": "gopher-ellipsis-lines",
    "gopher_below_alpha_threshold": "gopher-few-alphabetic",
    "gopher_enough_stop_words": "gopher-few-stop-words",
    "lorem_ipsum": "c4-lorem-ipsum",
    "curly_bracket": "c4-braces",
    "too_few_sentences": "c4-few-sentences",
    "empty": "fineweb-empty",
    "line_punct_ratio": "fineweb-few-punctuated-lines",
    "short_line_ratio": "fineweb-short-lines",
    "char_dup_ratio": "fineweb-repeated-line-chars",
    "list_ratio": "fineweb-line-breaks",
}
"""Their reason -> ours."""


def ours(root: Path, texts: list[str]) -> tuple[list[str | None], Turn]:
    """Decisions with the published thresholds."""
    book = load_recipe(root, "yulan-mini")
    about = plain(next(iter(book.sources.sources.values()))) | {"family": "web", "language": "en"}
    rules = plain(book.recipe.data.clean) | {"families": {"web": plain(Treatment(filters=CHAIN, mask=()))}}
    source, clean = structure(about, Source), structure(rules, type(book.recipe.data.clean))
    judge(texts[:10], source, clean)
    with Watch() as watch:
        parts = [judge(texts[start : start + 1024], source, clean)[1] for start in range(0, len(texts), 1024)]
    return [reason for part in parts for reason in part], watch.turn


def theirs(root: Path, texts: list[str]) -> tuple[list[str | None], Turn]:
    folder = root / ".cache/peers/filters"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [root / ".cache/peers/bin/python", root / "tests/bench/peers/datatrove_filters.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    decisions = [json.loads(line) for line in (folder / "decisions.jsonl").open(encoding="utf-8")]
    return [None if reason is None else NAMES[reason] for reason in decisions], told(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--quick", action="store_true", help="1 MB")
    parser.add_argument("--seed", type=int, default=1, help="of the pages")
    asked, root = parser.parse_args(), find_root()
    texts = pages(root / "artifacts/nano/raw/data", 1 if asked.quick else asked.megabytes, seed=asked.seed)
    slices = [texts[low : low + -(-len(texts) // SLICES)] for low in range(0, len(texts), -(-len(texts) // SLICES))]
    sizes = [sum(len(text.encode()) for text in part) / 1e6 for part in slices]
    found: dict[str, list[tuple[list[str | None], Turn]]] = {"ours": [], "theirs": []}
    for number, part in enumerate(slices):
        for name in (("ours", "theirs"), ("theirs", "ours"))[number % 2]:
            found[name].append({"ours": ours, "theirs": theirs}[name](root, part))
        took = (f"{name} {found[name][-1][1].wall:.1f} s, {found[name][-1][1].processor:.1f} of its processor" for name in found)
        print(f"slice {number + 1} of {len(slices)}, {sizes[number]:.1f} MB: {'; '.join(took)}", file=sys.stderr, flush=True)
    mine, other = ([reason for reasons, _ in found[name] for reason in reasons] for name in ("ours", "theirs"))
    unlike = Counter((a, b) for a, b in zip(mine, other, strict=True) if (a is None) != (b is None))
    renamed = sum(a != b and a is not None and b is not None for a, b in zip(mine, other, strict=True))
    print(f"{len(texts):,} texts, {sum(sizes):.1f} MB; they keep {other.count(None):,}, we keep {mine.count(None):,}")
    share = sum(unlike.values()) / len(texts)
    print(f"keep or drop differs for {sum(unlike.values())} ({share:.2%}); the reason for {renamed} more")
    for (a, b), count in unlike.most_common():
        print(f"  {count:6}  {'only we drop: ' + a if a else 'only they drop: ' + str(b)}")
    print("dropped by reason, theirs and ours:")
    for reason, count in Counter(filter(None, other)).most_common():
        print(f"  {count:6} {mine.count(reason):6}  {reason}")
    turns = ([turn for _, turn in found[name]] for name in ("ours", "theirs"))
    print(pairs.head())
    pairs.show(lines_of("clean, FineWeb's chain", *turns, sizes, Aim(at="least", value=6)))


if __name__ == "__main__":
    main()
