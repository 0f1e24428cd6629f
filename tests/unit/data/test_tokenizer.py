"""Laws of the tokenizer: lossless, deterministic, deaf to control tokens in text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.data.conftest import bpe, put, sentences
from yulan import digest
from yulan.data import tokenizer
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, RecipeError

LARGER = bpe(vocab_size=310)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tokenizer.train(iter(sentences(1, 200)), LARGER, begin_with_bos=False)
    into = tmp_path_factory.mktemp("learned")
    tokenizer.save(made, into, LARGER)
    return into


@pytest.fixture(scope="module")
def codec(folder: Path) -> Codec:
    return tokenizer.load(folder, LARGER, begin_with_bos=False)


@given(st.text())
def test_every_string_comes_back_as_it_was(codec: Codec, text: str):
    ids, lengths = codec.encode([text])
    assert codec.decode(ids) == text
    assert lengths.tolist() == [len(ids)]


def test_awkward_strings_come_back_as_they_were(codec: Codec):
    texts = ["", " ", "\r\n\t ", "\u3000全角\u3000", "e\u0301", "\0", "\ufeff", "🏳️‍🌈", "  12 3", "a" * 5000, "</s><s><|im_end|>"]
    assert [codec.decode(codec.encode([text])[0]) for text in texts] == texts


@given(st.lists(st.sampled_from(["</s>", "<s>", "<unk>", "<|im_start|>", "<|im_end|>", " ", "a", "\n", "<", ">", "s"])))
def test_control_tokens_in_text_are_cut_into_bytes(codec: Codec, parts: list[str]):
    ids, _ = codec.encode(["".join(parts)])
    assert ids[-1] == codec.eos_id
    assert (ids[:-1] >= len(LARGER.special)).all()


def test_control_tokens_come_first_in_the_order_of_the_recipe(codec: Codec):
    assert [codec.backend.id_to_token(i) for i in range(5)] == list(LARGER.special)
    assert (codec.backend.token_to_id("<unk>"), codec.backend.token_to_id("<s>"), codec.eos_id) == (0, 1, 2)
    assert codec.vocab_size == 310


def test_a_digit_is_a_token_of_its_own(codec: Codec):
    assert [codec.backend.id_to_token(i) for i in codec.encode(["42 2024"])[0]] == ["4", "2", "Ġ", "2", "0", "2", "4", "</s>"]


def test_documents_are_told_apart_by_their_lengths(codec: Codec):
    ids, lengths = codec.encode(["the window", "", "token"])
    assert lengths[1] == 1
    assert int(lengths.sum()) == len(ids)
    assert (ids == codec.eos_id).sum() == 3


def test_bos_stands_first_where_the_recipe_wants_it(folder: Path):
    ids, lengths = tokenizer.load(folder, LARGER, begin_with_bos=True).encode(["a", "b"])
    assert ids[0] == 1
    assert ids[lengths[0]] == 1


def test_two_trainings_give_equal_bytes():
    once, again = (tokenizer.train(iter(sentences(2, 300)), LARGER, begin_with_bos=False).to_str() for _ in range(2))
    assert once == again


def test_golden_bytes_of_a_tokenizer(tmp_path: Path):
    made = tokenizer.train(iter(["low lower lowest"] * 3), bpe(vocab_size=264), begin_with_bos=False)
    tokenizer.save(made, tmp_path, bpe())
    assert json.loads(made.to_str())["model"]["merges"] == [["l", "o"], ["lo", "w"], ["Ġ", "low"]]
    assert digest.of_file(tmp_path / "tokenizer.json") == "38b23e124c22f35cd6ec7fdbbd9f171ba8c356d71f2435ef112365d276ff404b"
    assert (
        digest.of_file(tmp_path / "tokenizer_config.json") == "9b8d74f7f24586d228cdb7620ac10600374ed90c11a11b34a768c55af0f320e3"
    )


def test_the_sample_is_spread_over_the_sources_in_proportion(tmp_path: Path):
    put(tmp_path, "a", [f"a{n:03}" + "x" * 96 for n in range(90)])
    put(tmp_path, "b/c", [f"b{n:03}" + "y" * 96 for n in range(30)])
    taken = list(tokenizer.sample(tmp_path, 4000, 0))
    assert [sum(text.startswith(name) for text in taken) for name in "ab"] == [30, 10]
    assert [digest.of_text(text) for text in taken[:30]] == sorted(digest.of_text(text) for text in taken[:30])


def test_held_out_documents_teach_the_tokenizer_nothing(tmp_path: Path):
    put(tmp_path, "a", [f"{n} text" for n in range(400)])
    taken = set(tokenizer.sample(tmp_path, 1 << 20, 100))
    assert 320 < len(taken) < 400
    assert all(int(digest.of_text(text)[:8], 16) % 1000 >= 100 for text in taken)


def test_bytes_per_token_are_given_by_family(tmp_path: Path, byte_codec: Codec):
    put(tmp_path, "a", ["one", "two"])
    put(tmp_path, "b", ["三"])
    assert tokenizer.bytes_per_token(tmp_path, byte_codec, {"a": "en", "b": "zh"}, 100, 0) == {"en": 1.0, "zh": 1.0}


@pytest.mark.slow
def test_stock_transformers_load_it_with_its_chat_template(folder: Path, codec: Codec):
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained(folder)
    text = "the window 数据 12"
    assert stock(text)["input_ids"] == codec.encode([text])[0].tolist()[:-1]
    assert set(stock(text)) == {"input_ids", "attention_mask"}
    assert (stock.bos_token_id, stock.eos_token_id) == (1, 2)
    chat = stock.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True)
    assert chat == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert stock(chat)["input_ids"][0] == 3
    assert stock.decode(stock(text)["input_ids"]) == text


def test_the_longest_input_is_written_where_it_is_known():
    assert "model_max_length" not in tokenizer.config(bpe(), None)
    assert tokenizer.config(bpe(), 1024)["model_max_length"] == 1024


def test_a_broken_pattern_is_named():
    with pytest.raises(RecipeError, match=r"\$\.data\.tokenizer\.learn\.pattern: not a regular expression.*Correct it"):
        tokenizer.train(iter(["a"]), bpe(pattern="(["), begin_with_bos=False)


def test_an_eos_that_is_not_special_is_named():
    with pytest.raises(RecipeError, match=r"tokenizer\.eos: '<end>' is not special\. Add it to"):
        tokenizer.train(iter(["a"]), bpe(eos="<end>"), begin_with_bos=False)


def test_too_little_text_for_the_vocabulary_gives_both_numbers():
    with pytest.raises(DataError, match=r"the sample yields 261 entries, not 300. Raise sample_bytes"):
        tokenizer.train(iter(["a"]), bpe(vocab_size=300), begin_with_bos=False)


def test_a_pattern_that_would_merge_a_control_token_is_refused():
    with pytest.raises(RecipeError, match="a merge spells the control token '</s>'"):
        tokenizer.train(iter(["</s>" * 50]), bpe(pattern=r"\S+", vocab_size=264), begin_with_bos=False)


def test_no_text_at_all_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match=r"no text to learn a tokenizer from. Loosen data.clean"):
        list(tokenizer.sample(tmp_path, 100, 0))


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a tokenizer.*Build it again"):
        tokenizer.load(tmp_path, bpe(), begin_with_bos=False)


def test_a_tokenizer_without_the_eos_of_the_recipe_is_named(folder: Path):
    with pytest.raises(DataError, match=r"no token '<end>'. Build it again from this recipe"):
        tokenizer.load(folder, bpe(eos="<end>"), begin_with_bos=False)
