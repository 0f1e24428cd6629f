from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yulan import digest, files
from yulan.data.contamination import Ledger
from yulan.data.drops import Drops, flow, write_drops
from yulan.data.pack import Header
from yulan.data.shard import ShardFile, Shards, SourceShards, Split
from yulan.data.spans import Span
from yulan.data.synthesize import Families, FamilyYield
from yulan.errors import DataError
from yulan.evaluate import result as evaluation
from yulan.recipe import Book
from yulan.report.facts import Answer, Count, Drop, Leak, Point, Refusal, Sample, Score, Share
from yulan.report.gather import LOOKS, READ, gather
from yulan.schema import plain

PAIRS = [("0" * 64, "x"), ("1" * 64, "y")]


def drops(folder: Path, kept: list[str], **dropped: list[tuple[str, str]]) -> Drops:
    files.make_folder(folder)
    return write_drops(folder, {"en/wiki": flow(kept, dropped)})


def test_documents_and_reasons_come_from_each_stages_own_evidence(tmp_path: Path, book: Book):
    drops(tmp_path / "raw", ["one", "two", "人"])
    drops(tmp_path / "clean", ["one"], short=PAIRS)
    facts = gather(book, {"raw": tmp_path / "raw", "clean": tmp_path / "clean"})
    family = book.sources.sources["en/wiki"].family
    assert facts.counts == (
        Count(stage="raw", family=family, source="en/wiki", documents=3, bytes=9, tokens=0),
        Count(stage="clean", family=family, source="en/wiki", documents=1, bytes=3, tokens=0),
    )
    assert facts.drops == (Drop(stage="clean", family=family, source="en/wiki", reason="short", documents=2),)


def test_leaks_come_in_all_and_by_part(tmp_path: Path, book: Book):
    drops(tmp_path, ["one"], quiz=PAIRS)
    ledger = Ledger({"quiz": 9}, {"quiz": 8}, book.recipe.data.decontaminate)
    match = {"benchmark": "quiz", "item": "q1", "kind": "whole", "field": "question"}
    for matches in ([match], [match, match | {"item": "q2", "kind": "ngram"}], []):
        ledger.add("en/wiki", 10, matches)
    ledger.write(tmp_path)
    facts = gather(book, {"decontaminated": tmp_path})
    found = [(leak.by, leak.part, leak.items, leak.documents, leak.bytes) for leak in facts.leaks]
    assert found == [
        ("all", "", 2, 2, 20),
        ("kind", "ngram", 1, 1, 10),
        ("kind", "whole", 1, 2, 20),
        ("field", "question", 2, 2, 20),
        ("source", "en/wiki", 2, 2, 20),
    ]
    assert facts.leaks[0] == Leak(benchmark="quiz", has=9, searched=8, by="all", part="", items=2, documents=2, bytes=20)


def test_tokens_come_from_the_shards_and_quotas_from_the_pack(tmp_path: Path, book: Book):
    halves = [Split(documents=n, tokens=10 * n, bytes=30 * n, files=(ShardFile(path=f"{n}.bin", tokens=10 * n),)) for n in (9, 1)]
    shards = Shards(
        format=1,
        dtype="uint16",
        vocab_size=512,
        eos_id=2,
        bos_id=None,
        sources={"en/wiki": SourceShards(train=halves[0], held=halves[1])},
    )
    files.write_json(tmp_path / "shards" / "shards.json", plain(shards))
    spans = {"en/wiki": Span(quota=64, start=0, repeated=0), "qa/arc": Span(quota=0, start=8, repeated=0)}
    header = Header(
        format=2,
        context=8,
        windows=8,
        tokens=64,
        packing="stream",
        padding=0,
        left_out=0,
        dtype="uint16",
        eos_id=2,
        vocab_size=300,
        shards=("a.bin",),
        sources=spans,
    )
    files.write_json(tmp_path / "mix" / "pack.json", plain(header))
    facts = gather(book, {"shards": tmp_path / "shards", "mix@phase-02": tmp_path / "mix"})
    assert [(c.stage, c.documents, c.bytes, c.tokens) for c in facts.counts] == [("train", 9, 270, 90), ("held", 1, 30, 10)]
    assert facts.mixes == (Share(phase="phase-02", family=book.sources.sources["en/wiki"].family, source="en/wiki", tokens=64),)


def test_synthetic_rows_come_with_the_verdicts_on_those_left_out(tmp_path: Path, book: Book):
    table = pa.table({"id": [digest.of_text("2 + 2 = 4")], "text": ["2 + 2 = 4"]})
    with files.open_new(tmp_path / "synthetic" / "sums" / "00000.parquet") as file:
        pq.write_table(table, file)
    verdicts = {"accepted": 1, "wrong": 3}
    made = FamilyYield(
        task="chain_sum", check="task", template="0" * 64, questions=4, asked=4, kept=1, share=0.25, any=0.25, all=0.25,
        mean=0.25, verdicts=verdicts, skipped=None,
    )  # fmt: skip
    files.write_json(tmp_path / "families.json", plain(Families(format=2, generator="0" * 64, families={"sums": made})))
    facts = gather(book, {"synthesize": tmp_path})
    about = {"stage": "synthesize", "family": "synthetic", "source": "synthetic/sums"}
    assert facts.counts == (Count(**about, documents=1, bytes=9, tokens=0),)
    assert facts.drops == (Drop(**about, reason="wrong", documents=3),)


def test_scores_answers_and_generations_come_from_the_evaluation(tmp_path: Path, book: Book):
    score = evaluation.Score(bits_per_byte=2.0, before=3.0, documents=9, tokens=99, bytes=300)
    told = evaluation.Answers(metric="acc", value=0.3, stderr=0.04, shots=0, items=100)
    made = evaluation.Evaluation(
        format=1,
        phase="phase-01",
        global_step=16,
        context=64,
        held_out={"code": score},
        sources={"code/django": score},
        by_position={"positions 00-31": score},
        tasks={"arc_easy": told},
        generations=(evaluation.Generated(prompt="人", text="工"),),
    )
    files.write_json(tmp_path / "evaluation.json", plain(made))
    facts = gather(book, {"evaluate@phase-01": tmp_path})
    assert facts.scores == (Score(phase="phase-01", family="code", before=3.0, after=2.0),)
    assert facts.positions == (Score(phase="phase-01", family="positions 00-31", before=3.0, after=2.0),)
    assert facts.answers == (Answer(phase="phase-01", task="arc_easy", metric="acc", value=0.3, stderr=0.04),)
    assert facts.samples == (Sample(phase="phase-01", prompt="人", text="工"),)


def row(step: int, **changed: object) -> dict[str, object]:
    known = {"step": step, "phase_step": step, "tokens": 64 * step, "targets": 60, "loss": 2.5, "z": 9.0, "lr": 0.01}
    return (
        known | {"grad_norm": 1.25, "skipped": False, "why": None, "windows": None, "rollback": None, "chain": "0" * 64} | changed
    )


def test_a_skipped_step_has_no_point(tmp_path: Path, book: Book):
    files.write_rows(tmp_path / "metrics.jsonl", [row(1), row(2, loss=250.0, skipped=True, why="loss", windows=[16, 32]), row(3)])
    facts = gather(book, {"train@phase-01": tmp_path})
    assert facts.curves == tuple(
        Point(phase="phase-01", step=step, tokens=64 * step, loss=2.5, lr=0.01, grad_norm=1.25) for step in (1, 3)
    )


def look(step: int, **changed: object) -> dict[str, object]:
    group = {"grad_norm": 0.5, "weight_norm": 9.0, "update_ratio": 0.01}
    known = {"step": step, "hidden_rms": [1.0, 2.0], "middle_rms": [1.5], "score_max": [7.0], "groups": {"q_proj": group}}
    return known | {"alphas": {}} | changed


def test_looks_are_told_by_place_and_what_is_not_finite_has_none(tmp_path: Path, book: Book):
    files.write_rows(tmp_path / "watch.jsonl", [look(20), look(40, hidden_rms=[1.0, None], score_max=[None], groups=None)])
    seen = [(row.step, row.what, row.place, row.value) for row in gather(book, {"train@phase-01": tmp_path}).looks]
    assert seen == [
        (20, "hidden_rms", "layer 00", 1.0),
        (20, "hidden_rms", "last norm", 2.0),
        (20, "score_max", "layer 00", 7.0),
        (20, "grad_norm", "q_proj", 0.5),
        (20, "update_ratio", "q_proj", 0.01),
        (40, "hidden_rms", "layer 00", 1.0),
    ]


def test_many_looks_are_thinned_and_the_last_one_stays(tmp_path: Path, book: Book):
    files.write_rows(tmp_path / "watch.jsonl", [look(20 * number) for number in range(1, 5 * LOOKS)])
    steps = sorted({row.step for row in gather(book, {"train@phase-01": tmp_path}).looks})
    assert len(steps) == LOOKS
    assert steps[-1] == 20 * (5 * LOOKS - 1)


def test_a_look_that_breaks_its_schema_is_pointed_at(tmp_path: Path, book: Book):
    files.write_rows(tmp_path / "watch.jsonl", [look(20), look(40, score_max="high")])
    with pytest.raises(DataError, match=r"watch\.jsonl:2: \$\.score_max"):
        gather(book, {"train@phase-01": tmp_path})


def test_a_step_that_was_refused_is_told_and_one_that_the_recipe_skips_is_not(tmp_path: Path, book: Book):
    skipped = {"skipped": True, "windows": [16, 32]}
    files.write_rows(tmp_path / "metrics.jsonl", [row(1), row(2, why="loss", **skipped), row(3, why="told", **skipped)])
    assert gather(book, {"train@phase-01": tmp_path}).refused == (Refusal(phase="phase-01", step=2, why="loss"),)


def test_a_log_that_breaks_its_schema_is_pointed_at(tmp_path: Path, book: Book):
    files.write_rows(tmp_path / "metrics.jsonl", [row(1), row(2, loss="low")])
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: \$\.loss"):
        gather(book, {"train@phase-01": tmp_path})


def test_every_stage_that_is_read_is_a_stage_of_the_graph():
    graph = (Path(__file__).parents[3] / "dvc.yaml").read_text()
    assert all(f"\n  {stage}:\n" in graph for stage in READ)
