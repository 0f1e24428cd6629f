"""Our filters against datatrove's on the same text: `python -m tests.bench.filters [--megabytes 10]`, after `make peers`.

Prints where the decisions differ, by reason, and the speed of each in CPU seconds, which other work on the machine moves little.
"""

import argparse
import json
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.bench.pages import pages
from yulan.data.clean import judge
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.cleaning import Treatment
from yulan.recipe.sources import Source
from yulan.schema import plain, structure

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


def ours(root: Path, texts: list[str]) -> tuple[list[str | None], float]:
    """Decisions with the published thresholds, and seconds."""
    book = load_recipe(root, "yulan-mini")
    about = plain(next(iter(book.sources.sources.values()))) | {"family": "web", "language": "en"}
    rules = plain(book.recipe.data.clean) | {"families": {"web": plain(Treatment(filters=CHAIN, mask=()))}}
    source, clean = structure(about, Source), structure(rules, type(book.recipe.data.clean))
    judge(texts[:10], source, clean)
    began = time.process_time()
    found = [reason for start in range(0, len(texts), 1024) for reason in judge(texts[start : start + 1024], source, clean)[1]]
    return found, time.process_time() - began


def theirs(root: Path, texts: list[str]) -> tuple[list[str | None], float]:
    folder = root / ".cache/peers/filters"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [root / ".cache/peers/bin/python", root / "tests/bench/peers/datatrove_filters.py", folder]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    decisions = [json.loads(line) for line in (folder / "decisions.jsonl").open(encoding="utf-8")]
    return [None if reason is None else NAMES[reason] for reason in decisions], float(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the pages")
    asked, root = parser.parse_args(), find_root()
    texts = pages(root / "artifacts/nano/raw/data", asked.megabytes, seed=asked.seed)
    size = sum(len(text.encode()) for text in texts) / 1e6
    mine, seconds = ours(root, texts)
    other, slower = theirs(root, texts)
    unlike = Counter((a, b) for a, b in zip(mine, other, strict=True) if (a is None) != (b is None))
    renamed = sum(a != b and a is not None and b is not None for a, b in zip(mine, other, strict=True))
    print(f"{len(texts):,} texts, {size:.1f} MB; they keep {other.count(None):,}, we keep {mine.count(None):,}")
    share = sum(unlike.values()) / len(texts)
    print(f"keep or drop differs for {sum(unlike.values())} ({share:.2%}); the reason for {renamed} more")
    for (a, b), count in unlike.most_common():
        print(f"  {count:6}  {'only we drop: ' + a if a else 'only they drop: ' + str(b)}")
    print("dropped by reason, theirs and ours:")
    for reason, count in Counter(filter(None, other)).most_common():
        print(f"  {count:6} {mine.count(reason):6}  {reason}")
    print(f"{size / seconds:.1f} MB a CPU second against {size / slower:.2f}: {slower / seconds:.1f}x")


if __name__ == "__main__":
    main()
