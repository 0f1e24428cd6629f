"""Families of questions, a model made here that reads as GGUF, and what becomes of its answers."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data.synthesize import INDEX, REJECTED, synthesize
from yulan.data.synthesize.families import asks, read_template, whole
from yulan.errors import DataError, RecipeError
from yulan.recipe.corpus import Family, Synthesize
from yulan.recipe.sources import Source

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
TEMPLATE = (
    "Question: State the final answer to the following arithmetic problem: 1 + 1 =\nAnswer: 2\n\nQuestion: {question}\nAnswer:"
)


def family(**changes: object) -> Family:
    keys: dict[str, object] = {"task": "chain_sum", "rows": 8, "max_new_tokens": 4, "temperature": 0.0, "top_p": 1.0}
    return Family(**{**keys, "verified": True, "options": SUMS, **changes})  # type: ignore[arg-type]


def settings(**families: Family) -> Synthesize:
    return Synthesize(batch=3, seed=7, min_yield=0.2, families=families)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name in ("sums", "passages"):
        (folder / f"{name}.txt").write_text(TEMPLATE if name == "sums" else "Title: {question}\nArticle:\n", encoding="utf-8")
    return folder


class Adder:
    """Adds and subtracts like the task, and is wrong where the seed says so."""

    digest = digest.of_bytes(b"adder")

    def __init__(self, wrong: int) -> None:
        self.wrong = wrong

    def complete(self, prompts: Sequence[str], seeds: Sequence[int], **_: object) -> list[str]:
        found = [re.findall(r"(\d) ([+-]) (\d) =", prompt)[-1] for prompt in prompts]
        sums = [int(a) + int(b) if sign == "+" else int(a) - int(b) for a, sign, b in found]
        return [f" {value + (seed % 4 < self.wrong)}\n" for value, seed in zip(sums, seeds, strict=True)]


def rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(path, partitioning=None).to_pylist()
    return found


def test_right_answers_become_documents_and_wrong_ones_stay_apart_with_their_verdict(tmp_path: Path, prompts: Path) -> None:
    made = synthesize(settings(sums=family()), {}, tmp_path, prompts, Adder(wrong=2), tmp_path / "data")  # type: ignore[arg-type]
    kept, refused = rows(tmp_path / "data/synthetic/sums/00000.parquet"), rows(tmp_path / "data" / REJECTED)
    assert {row["verdict"] for row in kept} == {"accepted"}
    assert {row["verdict"] for row in refused} == {"wrong"}
    assert len(kept) + len(refused) == made.families["sums"].asked == 8
    assert made.families["sums"].share == len(kept) / 8
    assert json.loads((tmp_path / "data" / INDEX).read_text())["families"]["sums"]["verdicts"] == {
        "accepted": len(kept),
        "wrong": len(refused),
    }


def test_a_row_says_how_it_was_made(tmp_path: Path, prompts: Path) -> None:
    synthesize(settings(sums=family()), {}, tmp_path, prompts, Adder(wrong=0), tmp_path / "data")  # type: ignore[arg-type]
    found = rows(tmp_path / "data/synthetic/sums/00000.parquet")
    assert [row["id"] for row in found] == sorted(str(row["id"]) for row in found)
    for row in found:
        prompt = TEMPLATE.replace("{question}", str(row["question"]))
        assert row["text"] == f"Question: {row['question']}\nAnswer: {str(row['answer']).strip()}"
        assert row["id"] == digest.of_text(str(row["text"]))
        assert row["prompt_digest"] == digest.of_bytes(prompt.encode())
        assert (row["generator_digest"], row["source"], row["family"]) == (Adder.digest, "synthetic/sums", "sums")
    again = asks(family(), TEMPLATE, 7, {}, tmp_path, "x")
    assert {row["seed"] for row in found} == {ask.seed for ask in again}


def test_a_row_that_was_removed_is_neither_kept_nor_rejected_and_the_others_stay_as_they_were(
    tmp_path: Path, prompts: Path
) -> None:
    def made(into: str, removed: frozenset[str]) -> list[dict[str, object]]:
        synthesize(settings(sums=family()), {}, tmp_path, prompts, Adder(wrong=2), tmp_path / into, removed)  # type: ignore[arg-type]
        return [*rows(tmp_path / into / "synthetic/sums/00000.parquet"), *rows(tmp_path / into / REJECTED)]

    before = made("before", frozenset())
    gone = {str(before[0]["id"]), str(before[-1]["id"])}
    assert made("after", frozenset(gone)) == [row for row in before if row["id"] not in gone]


def test_a_verified_family_without_one_right_answer_is_an_error(tmp_path: Path, prompts: Path) -> None:
    with pytest.raises(DataError, match="0 of 8 answers were kept") as caught:
        synthesize(settings(sums=family()), {}, tmp_path, prompts, Adder(wrong=4), tmp_path / "data")  # type: ignore[arg-type]
    assert "$.data.synthesize.families.sums" in str(caught.value)
    assert any(row.startswith("wrong") for row in caught.value.evidence)


def test_a_yield_below_the_recipes_least_is_an_error(tmp_path: Path, prompts: Path) -> None:
    strict = Synthesize(batch=3, seed=7, min_yield=0.9, families={"sums": family()})
    with pytest.raises(DataError, match="at least 90% of checked ones"):
        synthesize(strict, {}, tmp_path, prompts, Adder(wrong=2), tmp_path / "data")  # type: ignore[arg-type]


def test_questions_are_different_and_none_is_answered_by_the_template(tmp_path: Path) -> None:
    found = asks(family(rows=60), TEMPLATE, 7, {}, tmp_path, "x")
    assert len({ask.question for ask in found}) == 60
    assert not any(ask.question in TEMPLATE for ask in found)


def test_the_tasks_own_verifier_judges(tmp_path: Path) -> None:
    ask = asks(family(rows=1), TEMPLATE, 7, {}, tmp_path, "x")[0]
    a, sign, b = re.findall(r"(\d) ([+-]) (\d) =", ask.question)[0]
    right = int(a) + int(b) if sign == "+" else int(a) - int(b)
    assert [ask.judge(answer) for answer in (str(right), str(right + 1), "", "many")] == ["accepted", "wrong", "empty", "wrong"]


def test_an_unverified_family_is_labelled_so(tmp_path: Path) -> None:
    ask = asks(family(rows=1, verified=False), TEMPLATE, 7, {}, tmp_path, "x")[0]
    assert [ask.judge(answer) for answer in ("anything", "")] == ["unverified", "empty"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "chain_sums"}, "no task named 'chain_sums'. Did you mean 'chain_sum'"),
        ({"options": {"terms": 2}}, "the task does not take them"),
        ({"task": "passage", "verified": False, "options": {}}, "no source of text named 'None'"),
    ],
)
def test_a_family_that_cannot_be_asked_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        asks(family(**changes), TEMPLATE, 7, {}, tmp_path, "$.here")
    assert message in str(caught.value)


def test_more_questions_than_a_task_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different questions where 900 are wanted"):
        asks(family(rows=900), TEMPLATE, 7, {}, tmp_path, "x")


def test_nothing_can_verify_a_passage() -> None:
    with pytest.raises(RecipeError, match="nothing can verify a passage"):
        settings(passages=family(task="passage"))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "the family has no prompt"), ("Question:", "stands in it 0 times"), ("{question}{question}", "stands in it 2 times")],
)
def test_a_prompt_holds_the_question_once(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "sums.txt").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_template(tmp_path, "sums")


def test_a_passage_is_asked_by_title_alone_and_ends_with_a_whole_sentence(tmp_path: Path) -> None:
    package = tmp_path / "wiki"
    package.mkdir()
    articles = {str(n): {"title": f"Title {n}", "extract": f"Body {n}."} for n in range(9)}
    (package / "a.json").write_text(json.dumps(articles))
    source = Source(
        family="en", language="en", licence="unknown", attribution="", hub=None, package="wiki", reader="summaries", options={},
        paths=("a.json",), exclude=(),
    )  # fmt: skip
    passages = family(task="passage", verified=False, rows=4, options={"source": "en/wiki"})
    found = asks(passages, "Title: {question}\nArticle:", 7, {"en/wiki": source}, tmp_path, "x")
    assert [ask.seed_document for ask in found] == sorted(digest.of_text(f"Title {n}\n\nBody {n}.") for n in range(9))[:4]
    assert all(ask.prompt == f"Title: {ask.question}\nArticle:" and "Body" not in ask.prompt for ask in found)
    assert whole(" It is one. It is two! And th", passages) == "It is one. It is two!"
    assert whole(" no end", passages) == ""
    judge = found[0].judge
    assert [judge(text) for text in ("One. Two.", "One. Two. One.", "")] == ["unverified", "repeats", "empty"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of a random two-layer Llama, quantised as the pinned one is, with a vocabulary of bytes."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from tokenizers import pre_tokenizers

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    draw = np.random.default_rng(3)
    writer = GGUFWriter(path, "llama")
    for name, value in (("block_count", 2), ("context_length", 128), ("embedding_length", 64), ("feed_forward_length", 96)):
        writer.add_uint32(f"llama.{name}", value)
    for name, value in (("head_count", 4), ("head_count_kv", 2)):
        writer.add_uint32(f"llama.attention.{name}", value)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|end|>", *letters, "th", "Ġth"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, *([1] * (len(tokens) - 1))])
    writer.add_token_merges(["t h", "Ġ th"])
    for name in ("bos", "eos", "unknown", "padding"):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", 0)
    writer.add_uint32("llama.vocab_size", len(tokens))
    shapes = {"token_embd": (len(tokens), 64), "output_norm": (64,)}
    for layer in range(2):
        block = {"attn_norm": (64,), "ffn_norm": (64,), "attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64)}
        block |= {"attn_output": (64, 64), "ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    for name, shape in shapes.items():
        values = draw.normal(1.0 if len(shape) == 1 else 0.0, 0.3, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
        else:
            kind = GGMLQuantizationType.Q4_1
            writer.add_tensor(f"{name}.weight", quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.slow
def test_a_gguf_file_gives_the_weights_and_ids_that_transformers_reads(tiny: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from yulan.data.synthesize.gguf import load_gguf

    model, tokenizer = load_gguf(tiny)
    theirs = AutoModelForCausalLM.from_pretrained(tiny.parent, gguf_file=tiny.name, dtype=torch.float32)
    ours, others = model.state_dict(), theirs.state_dict()
    assert ours.keys() == others.keys()
    assert all(torch.equal(ours[name], others[name]) for name in ours)
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, theirs(ids).logits)
    text = "the 12 thumbs,\n  naïve 数据 <|end|>"
    their_tokenizer = AutoTokenizer.from_pretrained(tiny.parent, gguf_file=tiny.name)
    assert tokenizer.encode(text).ids == their_tokenizer(text, add_special_tokens=False).input_ids


def test_a_batch_that_shares_its_start_says_what_each_prompt_alone_would(tiny: Path) -> None:
    from yulan.data.synthesize.generate import Generator

    generator = Generator(tiny, threads=1)
    assert generator.digest == digest.of_file(tiny)
    prompts, seeds = ["the same start, one", "the same start, three more", "the same start, 二"], [1, 2, 3]
    for temperature in (0.0, 0.8):
        kind = {"new_tokens": 12, "temperature": temperature, "top_p": 0.9}
        together = generator.complete(prompts, seeds, **kind)
        alone = [generator.complete([prompt], [seed], **kind)[0] for prompt, seed in zip(prompts, seeds, strict=True)]
        assert together == alone
        assert together == generator.complete(prompts, seeds, **kind)


def test_greedy_text_is_what_transformers_generates(tiny: Path) -> None:
    import torch

    from yulan.data.synthesize.generate import Generator

    generator = Generator(tiny, threads=1)
    ids = torch.tensor([generator.tokenizer.encode("the thing").ids])
    with torch.no_grad():
        theirs = generator.model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=generator.ends.tolist())
    text = generator.tokenizer.decode(theirs[0, ids.shape[1] :].tolist())
    assert generator.complete(["the thing"], [0], new_tokens=8, temperature=0.0, top_p=1.0) == [text]


def test_a_random_model_gets_nothing_right_and_the_stage_stops(tiny: Path, tmp_path: Path, prompts: Path) -> None:
    from yulan.data.synthesize.generate import Generator

    with pytest.raises(DataError, match="0 of 8 answers were kept"):
        synthesize(settings(sums=family()), {}, tmp_path, prompts, Generator(tiny, threads=1), tmp_path / "data")


def test_a_recipe_may_ask_nothing(tiny: Path, tmp_path: Path, prompts: Path) -> None:
    from yulan.data.synthesize.generate import Generator

    made = synthesize(settings(), {}, tmp_path, prompts, Generator(tiny, threads=1), tmp_path / "data")
    assert made.families == {}
    assert pq.read_table(tmp_path / "data" / REJECTED).num_rows == 0


def test_what_is_not_a_model_is_refused(tmp_path: Path, tiny: Path) -> None:
    from yulan.data.synthesize.gguf import load_gguf

    (tmp_path / "a.gguf").write_bytes(b"not a model at all, no")
    with pytest.raises(DataError, match="not a GGUF file"):
        load_gguf(tmp_path / "a.gguf")
    shutil.copy(tiny, tmp_path / "b.gguf")
    (tmp_path / "b.gguf").write_bytes(tiny.read_bytes().replace(b"llama", b"gemma"))
    with pytest.raises(DataError, match="a model of kind"):
        load_gguf(tmp_path / "b.gguf")
