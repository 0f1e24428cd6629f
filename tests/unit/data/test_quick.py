"""The quick way gives the ids of `tokenizers`, or is not taken."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from tests.unit.data.conftest import bpe, put, sentences
from yulan import digest
from yulan.data import quick, tokenizer
from yulan.data.quick import END, Encoder, encode_all, quicken
from yulan.data.shard import write_shards
from yulan.data.tokenizer import Codec
from yulan.recipe import corpus

CONTEXT = "a{0}b {0}{0} 1{0} {0}1 {0}  {0}\n{0} x"
"""A code point beside letters, digits, spaces and itself."""
LEADS = "".join(letter for letter, byte in quick.bytes_of_letters().items() if 0xC2 <= byte <= 0xF4)
"""The first bytes of all code points beyond ASCII, as a vocabulary writes them."""


def learned(folder: Path, **changes: object) -> Codec:
    settings = bpe(**{"vocab_size": 300} | changes)
    tokenizer.save(tokenizer.train(iter(sentences(1, 300)), settings, begin_with_bos=False), folder, settings)
    return tokenizer.load(folder, settings, begin_with_bos=False)


@pytest.fixture(scope="module", params=[True, False], ids=["single digits", "runs of digits"])
def encoder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Encoder:
    made = quicken(learned(tmp_path_factory.mktemp("learned"), single_digits=request.param))
    assert made.quick is not None
    return made


@pytest.fixture(scope="module", params=[True, False], ids=["single digits", "runs of digits"])
def seam(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Encoder:
    """It joins a letter, digit or space to the code point behind it, unless there is a cut: so ids tell cuts."""
    codec = learned(tmp_path_factory.mktemp("seam"), vocab_size=261, single_digits=request.param)
    about = json.loads(codec.backend.to_str())
    pairs = [(before, lead) for lead in LEADS for before in "a1Ġ"]
    about["model"]["vocab"] |= {before + lead: 261 + number for number, (before, lead) in enumerate(pairs)}
    about["model"]["merges"] = [list(pair) for pair in pairs]
    backend = Tokenizer.from_str(json.dumps(about))
    backend.encode_special_tokens = True
    made = quicken(dataclasses.replace(codec, backend=backend, vocab_size=261 + len(pairs)))
    assert made.quick is not None
    return made


def require_equal(encoder: Encoder, texts: list[str]) -> None:
    for mine, known in zip(encoder.encode(texts), encoder.codec.encode(texts), strict=True):
        assert mine.dtype == known.dtype
        assert mine.tolist() == known.tolist()


SPACES = st.text(
    alphabet=[" ", "\n", "\t", "1", "٣", "a", "é", "数", "'", "s", "’", ".", "\u3000", "\u00a0", "\x85", "\x1c", END, "\0"]
)


@given(st.lists(st.text() | SPACES, max_size=8))
def test_ids_are_those_of_the_library(encoder: Encoder, texts: list[str]):
    require_equal(encoder, texts)


@given(st.lists(st.text() | SPACES, max_size=5))
def test_every_document_begins_with_bos_where_the_recipe_says_so(encoder: Encoder, texts: list[str]):
    with_bos = Encoder(codec=dataclasses.replace(encoder.codec, bos_id=1), quick=encoder.quick)
    require_equal(with_bos, texts)


def test_letters_that_only_one_library_knows_and_the_sign_of_an_end_go_the_slow_way(encoder: Encoder):
    for odd in ("\U00011de3", "\U00016ff5", END, f"a{END}", f"{END}{END}"):
        require_equal(encoder, ["before", f"in {odd}1 {odd}{odd}the middle", odd, "behind"])


@pytest.mark.parametrize("low", [0, 0x1100, 0x2000, 0x3000, 0x10A00, 0x1D400, 0x1F600, 0xE0000])
def test_code_points_are_cut_alike(seam: Encoder, low: int):
    require_equal(seam, [CONTEXT.format(chr(code)) for code in range(low, low + 512)])


@pytest.mark.large
def test_every_code_point_is_cut_alike(seam: Encoder):
    """What differs must be in NEWER, and nothing else may be."""
    unlike = set()
    for low in range(0, 0x110000, 1 << 14):
        codes = [code for code in range(low, low + (1 << 14)) if not 0xD800 <= code < 0xE000]
        texts = [CONTEXT.format(chr(code)) for code in codes if chr(code) != END]
        assert seam.quick is not None
        known = seam.codec.backend.encode_batch_fast(texts, add_special_tokens=False)
        unlike |= {text[1] for text, made in zip(texts, known, strict=True) if made.ids != seam.quick.encode_ordinary(text)}
    newer = {chr(code) for code in range(0x110000) if quick.NEWER.match(chr(code))}
    assert unlike == (newer if '"Digits"' in seam.codec.backend.to_str() else set())


@pytest.mark.parametrize("kind", ["another pattern", "a normaliser", "no bytes", "other merges"])
def test_a_tokenizer_that_would_differ_is_left_to_its_library(tmp_path: Path, kind: str):
    if kind == "another pattern":
        made = learned(tmp_path, pattern=r"\p{L}+|\s+|[^\s\p{L}]+")
    else:
        made = learned(tmp_path)
        if kind == "a normaliser":
            made.backend.normalizer = normalizers.NFC()
        elif kind == "no bytes":
            made.backend.pre_tokenizer = pre_tokenizers.Split(Regex(quick.GPT2), "isolated")
        else:
            # "the" from "t" and "he", never from "th" and "e": what is learned from text does not hold such a vocabulary.
            about = json.loads(made.backend.to_str())
            letters = {letter: 5 + byte for letter, byte in quick.bytes_of_letters().items()}
            merges = [("t", "h"), ("h", "e"), ("t", "he")]
            vocabulary = (
                letters | {name: number for number, name in enumerate(bpe().special)} | {"th": 261, "he": 262, "the": 263}
            )
            changed = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
            about["model"] = json.loads(changed.to_str())["model"]
            made = dataclasses.replace(made, backend=Tokenizer.from_str(json.dumps(about)), vocab_size=264)
            made.backend.encode_special_tokens = True
    found = quicken(made)
    assert found.quick is None
    require_equal(found, ["the other then", "a 12", "é"])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_come_back_in_order_however_many_threads_work(encoder: Encoder, threads: int):
    taken = []

    def batches():
        for number in range(30):
            taken.append(number)
            yield [f"{number}"], [f"document {number} " * ((30 - number) * 20)]

    for number, (batch, tokens, _) in enumerate(encode_all(encoder, batches(), threads)):
        assert batch[0] == [f"{number}"]
        assert tokens.tolist() == encoder.codec.encode(batch[1])[0].tolist()
        # No more is read ahead than is at work and waits.
        assert len(taken) <= number + threads + 2


def test_shards_are_byte_for_byte_those_of_the_slow_way(tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch):
    for seed, name in enumerate(("a", "b/c")):
        put(tmp_path / "text", name, [*sentences(seed, 200), END, "\U00011de3 1"])
    settings = corpus.Shards(tokens=1000, held_out=100, begin_with_bos=False)
    write_shards(tmp_path / "text", encoder.codec, settings, tmp_path / "quick", wanted=["a"])
    monkeypatch.setattr("yulan.data.shard.quicken", lambda codec: Encoder(codec=codec, quick=None))
    write_shards(tmp_path / "text", encoder.codec, settings, tmp_path / "slow", wanted=["a"])
    found = {
        place: {path.relative_to(place).as_posix(): digest.of_file(path) for path in place.rglob("*") if path.is_file()}
        for place in (tmp_path / "quick", tmp_path / "slow")
    }
    assert found[tmp_path / "quick"] == found[tmp_path / "slow"]
    assert len(found[tmp_path / "quick"]) > 10
