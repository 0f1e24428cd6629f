"""The pinned local model: a GGUF file made here, what it writes, and what a stage makes of a model that knows nothing."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.data.gguf_kit import write_gguf
from yulan import digest
from yulan.data.synthesize import REJECTED, Families, synthesize
from yulan.data.synthesize.engine import Engine, Request, Sampling
from yulan.data.synthesize.ledger import ROWS, Ledger
from yulan.errors import DataError
from yulan.recipe.synthesis import Family, Synthesize

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def settings(**families: Family) -> Synthesize:
    return Synthesize(model=None, batch=3, seed=7, min_yield=0.2, judge=None, families=families)


def made(asked: Synthesize, tmp_path: Path, engine: Engine) -> Families:
    (tmp_path / "sums.txt").write_text("Question: {question}\nAnswer:")
    ledger = Ledger(tmp_path / "ledger")
    try:
        return synthesize(asked, {}, tmp_path, tmp_path, engine, ledger, tmp_path / "data")
    finally:
        os.close(ledger.lock)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


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
        kind = Sampling(max_new_tokens=12, temperature=temperature, top_p=0.9, stop=("\n",))
        together = generator.complete(prompts, seeds, kind)
        alone = [generator.complete([prompt], [seed], kind)[0] for prompt, seed in zip(prompts, seeds, strict=True)]
        assert together == alone
        assert together == generator.complete(prompts, seeds, kind)


def test_greedy_text_is_what_transformers_generates(tiny: Path) -> None:
    import torch

    from yulan.data.synthesize.generate import Generator

    generator = Generator(tiny, threads=1)
    ids = torch.tensor([generator.tokenizer.encode("the thing").ids])
    with torch.no_grad():
        theirs = generator.model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=generator.ends.tolist())
    text = generator.tokenizer.decode(theirs[0, ids.shape[1] :].tolist())
    greedy = Sampling(max_new_tokens=8, temperature=0.0, top_p=1.0, stop=("\n",))
    (found,) = generator.complete(["the thing"], [0], greedy)
    assert found.text == text.partition("\n")[0]
    (free,) = generator.complete(["a, b"], [0], replace(greedy, max_new_tokens=20, stop=()))
    cut_at = free.text[3:5]
    (stopped,) = generator.complete(["a, b"], [0], replace(greedy, max_new_tokens=20, stop=(cut_at,)))
    assert (stopped.text, stopped.finish) == (free.text.partition(cut_at)[0], "stop")
    (short,) = generator.complete(["a, b"], [0], replace(greedy, max_new_tokens=1, stop=()))
    assert (short.finish, free.text.startswith(short.text)) == ("length", True)


def test_a_run_that_was_cut_short_goes_on_with_the_same_bytes(tiny: Path, tmp_path: Path):
    """Batches of three; the cut lies inside the second."""
    from yulan.data.synthesize.generate import Generator, Local

    engine = Local(Generator(tiny, threads=1), batch=3)
    requests = [Request(key=f"x/{n}/0", prompt="say " + "ab " * (n % 4), seed=n) for n in range(8)]
    sampling = Sampling(max_new_tokens=6, temperature=0.9, top_p=0.9, stop=())
    whole, short = Ledger(tmp_path / "whole"), tmp_path / "short"
    told = whole.ask(engine, requests, sampling)
    lines = whole.path.read_bytes().splitlines(keepends=True)
    short.mkdir()
    (short / ROWS).write_bytes(b"".join(lines[:4]) + lines[4][:20])
    again = Ledger(short)
    assert again.ask(engine, requests, sampling) == told
    assert again.path.read_bytes() == whole.path.read_bytes()
    os.close(whole.lock)
    os.close(again.lock)


def test_a_random_model_gets_nothing_right_and_the_stage_stops(tiny: Path, tmp_path: Path) -> None:
    from yulan.data.synthesize.generate import Generator, Local

    sums = Family(
        task="chain_sum",
        rows=8,
        samples=1,
        max_new_tokens=4,
        temperature=0.0,
        top_p=1.0,
        stop=("\n",),
        check="task",
        options=SUMS,
    )
    with pytest.raises(DataError, match="0 of 8 answers were kept"):
        made(settings(sums=sums), tmp_path, Local(Generator(tiny, threads=1), batch=3))


def test_a_recipe_may_ask_nothing(tiny: Path, tmp_path: Path) -> None:
    from yulan.data.synthesize.generate import Generator, Local

    assert made(settings(), tmp_path, Local(Generator(tiny, threads=1), batch=3)).families == {}
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
