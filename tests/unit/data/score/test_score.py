"""Scoring splits a source: every document goes on, to one path, which depends on its text and the recipe alone."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.conftest import put
from tests.unit.data.corpus_kit import contents
from tests.unit.data.score.kit import MANY, documents, fill, quality, rules, texts, topic
from yulan.data import frames
from yulan.data.score.classifier import read_classifier, vectors
from yulan.data.score.judge import Judge
from yulan.data.score.result import read_scores
from yulan.data.score.split import score
from yulan.errors import DataError
from yulan.layout import find_root
from yulan.recipe.scoring import Cuts

BOTH = rules(topics={"science": topic()})


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def split(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("split")
    score(BOTH, Path(), pool, into)
    return into


def columns(folder: Path) -> list[dict[str, object]]:
    rows = [pq.read_table(part, partitioning=None).to_pylist() for part in sorted((folder / "web/pool").rglob("0*.parquet"))]
    return [row for part in rows for row in part]


def test_the_paths_are_a_partition_of_what_was_there(pool: Path, split: Path):
    before, after = documents(pool), documents(split)
    assert {identity: text for identity, (_, text) in after.items()} == {i: text for i, (_, text) in before.items()}
    assert {path for path, _ in after.values()} == {
        "book/science", "book/social", "code/x", "web/pool/topic_science", *(f"web/pool/score_{n}" for n in range(1, 6))
    }  # fmt: skip


def test_a_row_says_the_path_that_it_lies_on(split: Path):
    for path in (split / "web/pool").iterdir():
        sources = pq.read_table(path / "00000.parquet", partitioning=None)["source"].unique().to_pylist()
        assert sources == [path.relative_to(split).as_posix()]


def test_a_source_that_nothing_splits_keeps_its_bytes(pool: Path, split: Path):
    for name in ("book/science", "book/social", "code/x"):
        assert contents(split / name) == contents(pool / name)


def test_a_score_never_falls_where_the_probability_rises(split: Path):
    rows = sorted((row["probability"], row["score"]) for row in columns(split) if row["score"])
    assert len(rows) > MANY
    assert {each for _, each in rows} == {1, 2, 3, 4, 5}
    assert all(low[1] <= high[1] for low, high in pairwise(rows) if low[0] < high[0])


def test_what_is_more_like_the_reference_scores_higher(split: Path):
    said: dict[str, list[float]] = {}
    for row in columns(split):
        if row["score"]:
            said.setdefault(str(row["text"]).split()[-2], []).append(float(str(row["score"])))
    means = [float(np.mean(said[seed])) for seed in sorted(said)]
    assert means == sorted(means)
    assert means[-1] - means[0] > 2


@pytest.mark.slow
def test_a_rerun_gives_equal_bytes_on_any_number_of_threads_and_with_another_blas(pool: Path, split: Path, tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from tests.unit.data.score.test_score import BOTH;"
        "from yulan.data.score.split import score; score(BOTH, Path(), Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    other = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3", "OPENBLAS_CORETYPE": "Prescott", "PYTHONHASHSEED": "7"}
    root = find_root(Path(__file__).parent)
    words = [sys.executable, "-c", code, str(pool), str(tmp_path / "again")]
    subprocess.run(words, cwd=root, env=os.environ | other | {"PYTHONPATH": str(root)}, check=True)
    assert contents(tmp_path / "again") == contents(split)


def test_where_a_document_goes_does_not_depend_on_parts_or_on_other_documents(pool: Path, split: Path, tmp_path: Path):
    for name in ("book/science", "book/social", "code/x"):
        frames.write(tmp_path / "cut", name, frames.read(frames.parts(pool, name)))
    table = frames.read(frames.parts(pool, "web/pool"))
    for number, start in enumerate(range(0, len(table), 150)):
        frames.write_part(tmp_path / "cut/web/pool" / f"{number:05}.parquet", table.slice(start, 150))
    score(BOTH, Path(), tmp_path / "cut", tmp_path / "out")
    assert documents(tmp_path / "out") == documents(split)
    made = {name: read_classifier(split / "classifiers" / name) for name in ("quality/good", "topics/science")}
    judge = Judge("web/pool", BOTH, made)
    alone = [judge([text])["path"][0] for text in table["text"].to_pylist()[:40]]
    assert alone == [documents(split)[identity][0] for identity in table["id"].to_pylist()[:40]]


def test_no_document_is_both_learned_from_and_tested_on(pool: Path, split: Path):
    report = read_scores(split).classifiers["quality/good"]
    for name, drawn in report.drawn.items():
        assert drawn.train + drawn.calibrate + drawn.test == min(MANY, len(frames.read(frames.parts(pool, name))))
        assert sum(drawn.outcome) == drawn.test
    # Documents that weights were learned from as negatives look less like the reference than others of their kind.
    assert report.seen is not None
    assert report.unseen is not None
    assert report.seen < report.unseen


def test_agreement_is_told_and_is_better_than_chance(split: Path):
    scores = read_scores(split)
    assert scores.meaning.startswith("likeness to the reference sources")
    for report in scores.classifiers.values():
        assert report.auc > 0.75
        assert report.brier < 0.2
        assert sum(each.documents for each in report.bins) == sum(drawn.test for drawn in report.drawn.values())
    found = scores.classifiers["topics/science"]
    taken = {name: drawn.outcome for name, drawn in found.drawn.items()}
    above = sum(outcome[1] for outcome in taken.values())
    assert found.precision == round(taken["book/science"][1] / above, 6)
    assert found.recall == round(taken["book/science"][1] / sum(taken["book/science"]), 6)
    held = scores.sources["web/pool"]
    assert sum(each.documents for each in held.values()) == sum(path.startswith("web/") for path, _ in documents(split).values())


def test_shares_and_probabilities_cut_where_the_recipe_says(pool: Path, tmp_path: Path):
    by_share = rules(quality={"good": quality(cuts=Cuts(by="share", at=(0.1, 0.2, 0.3, 0.5)))})
    held = score(by_share, Path(), pool, tmp_path / "share").sources["web/pool"]
    whole = sum(each.documents for each in held.values())
    assert held["web/pool/score_5"].documents / whole == pytest.approx(0.5, abs=0.1)
    at = (0.05, 0.1, 0.2, 0.4)
    by_probability = rules(quality={"good": quality(cuts=Cuts(by="probability", at=at))})
    score(by_probability, Path(), pool, tmp_path / "probability")
    for row in columns(tmp_path / "probability"):
        assert row["score"] == 1 + sum(float(str(row["probability"])) >= cut for cut in at)


def test_what_no_topic_takes_stays_under_its_own_name(pool: Path, tmp_path: Path):
    only = rules(quality={}, topics={"science": topic(), "art": topic(reference=("book/social",), against=("book/science",))})
    score(only, Path(), pool, tmp_path)
    where = {path for path, _ in documents(tmp_path).values() if path.startswith("web/")}
    assert where == {"web/pool", "web/pool/topic_science", "web/pool/topic_art"}


def test_a_topic_is_scored_apart_where_the_recipe_says(pool: Path, tmp_path: Path):
    apart = rules(topics={"science": topic()}, quality={"good": quality(sources=("web/pool/topic_science",))})
    score(apart, Path(), pool, tmp_path)
    where = {path for path, _ in documents(tmp_path).values() if path.startswith("web/")}
    assert "web/pool" in where
    assert where - {"web/pool"} <= {f"web/pool/topic_science/score_{n}" for n in range(1, 6)}
    assert apart.paths("web/pool") == ("web/pool", *(f"web/pool/topic_science/score_{n}" for n in range(1, 6)))


def test_nothing_to_split_hands_everything_on(pool: Path, tmp_path: Path):
    made = score(rules(quality={}), Path(), pool, tmp_path)
    assert documents(tmp_path) == documents(pool)
    assert (made.sources, made.classifiers) == ({}, {})


def test_only_the_beginning_of_a_text_is_judged():
    features = rules().features
    one, other = vectors(["cell " * 400 + "film", "cell " * 400 + "king"], features)
    assert (one != other).nnz == 0


def test_a_reference_without_documents_is_named(pool: Path, tmp_path: Path):
    lost = rules(quality={"good": quality(reference=("book/lost",))})
    with pytest.raises(DataError, match=r"book/lost: no document of book/lost is there for quality/good\. Loosen what dropped"):
        score(lost, Path(), pool, tmp_path)


@pytest.mark.parametrize(("source", "side"), [("book_science", "reference"), ("web_pool", "negative")])
def test_too_few_of_one_side_are_refused(tmp_path: Path, source: str, side: str):
    fill(tmp_path / "in", **{source: texts(3, 0.5, 30)})
    words = rf"only \d+ {side} documents to \w+ on, 20 are the least\. Raise draw, name more"
    with pytest.raises(DataError, match=rf"\$\.data\.score\.quality\.good: {words}"):
        score(rules(), Path(), tmp_path / "in", tmp_path / "out")


def test_a_path_that_stays_empty_is_refused_where_a_mix_takes_from_it(tmp_path: Path):
    fill(tmp_path / "in", web_pool=texts(5, 0.1))
    never = rules(quality={"good": quality(cuts=Cuts(by="probability", at=(0.2, 0.4, 0.6, 0.999999)))})
    score(never, Path(), tmp_path / "in", tmp_path / "out", wanted={"book/science", "web/pool/score_1"})
    with pytest.raises(
        DataError, match=r"no document of web/pool ends in web/pool/score_5, which a mix takes from\. Move the cuts"
    ):
        score(never, Path(), tmp_path / "in", tmp_path / "again", wanted={"web/pool/score_5"})


def test_a_reference_that_looks_like_the_pool_is_refused(tmp_path: Path):
    put(tmp_path / "in", "web/pool", [f"x {text}" for text in texts(5, 0.1)])
    put(tmp_path / "in", "book/science", [f"x {text}" for text in texts(6, 0.9)])
    # What differs is behind the first letter, and not judged.
    blind = rules(features=replace(rules().features, chars=1))
    with pytest.raises(DataError, match="does not tell the reference from the pool"):
        score(blind, Path(), tmp_path / "in", tmp_path / "out")


def test_columns_say_why_a_document_is_where_it_is(split: Path):
    for row in columns(split):
        scored = "/score_" in str(row["source"])
        assert (row["score"] is not None) == scored == (row["probability"] is not None)
        assert row["topic"] is not None
        assert scored or float(str(row["topic"])) >= 0.6
    schema = pq.read_schema(next((split / "web/pool").rglob("0*.parquet")))
    assert schema.field("probability").type == pa.float64()
