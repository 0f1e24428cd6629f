"""Tokenizers as others publish them: of GPT-2's kind, control tokens last, and of SentencePiece's, with bytes for the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.unit.data.conftest import sentences
from yulan import digest
from yulan.recipe import corpus

END, PAD, HOLE = "<|endoftext|>", "<|pad|>", "<|hole|>"
Change = Callable[[dict[str, Any]], None]


def published(**changes: object) -> corpus.Published:
    keys: dict[str, object] = {
        "package": "pack",
        "hub": None,
        "revision": None,
        "path": "pack/tokenizer.json",
        "sha256": "0" * 64,
    }
    return corpus.Published(**{**keys, "licence": "MIT", "loses": (), **changes})  # type: ignore[arg-type]


def settings(size: int, special: tuple[str, ...], bos: str, eos: str, **changes: object) -> corpus.Tokenizer:
    about = published(**changes)
    return corpus.Tokenizer(vocab_size=size, special=special, bos=bos, eos=eos, learn=None, published=about)


def gpt2() -> Tokenizer:
    """Byte-level, 300 entries, its control tokens behind them and one id left out."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        sentences(3, 300),
        trainers.BpeTrainer(vocab_size=300, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False),
    )
    made.add_special_tokens([AddedToken(END, special=True), AddedToken(PAD, special=True)])
    # An entry of its own that is no control token, as published ones have for what they mask.
    made.add_tokens([AddedToken("|||EMAIL|||", special=False, normalized=False)])
    return made


GPT2 = settings(303, (END, PAD), END, END)


def sentencepiece() -> Tokenizer:
    """As Llama's: spaces are `▁`, one stands before each text, and what no entry has falls back on bytes."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", "a", "b", "▁a", "ab", "人"]
    vocabulary = {piece: n for n, piece in enumerate(pieces)}
    made = Tokenizer(models.BPE(vocabulary, [("▁", "a"), ("a", "b")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in pieces[:3]])
    return made


SENTENCEPIECE = settings(265, ("<unk>", "<s>", "</s>"), "<s>", "</s>", loses=("▁",))


def write(made: Tokenizer, path: Path, change: Change | None = None) -> Path:
    """Its tokenizer.json, changed as text is changed: some settings have no method."""
    raw = json.loads(made.to_str())
    if change is not None:
        change(raw)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw, ensure_ascii=False), encoding="utf-8")
    return path


def pin(path: Path) -> str:
    return digest.of_file(path)


def any_text() -> st.SearchStrategy[str]:
    """Every Unicode string: all planes, and what is awkward more often than chance has it."""
    awkward = [
        "\0",
        " ",
        "  ",
        "\n",
        "\u200b",
        "\u200d",
        "\u202e",
        "\ufeff",
        "\u0301",
        "\u20e3",
        "👩\u200d🚀",
        "🇨🇳",
        "각",
        "▁",
        "ß",
        "İ",
    ]
    planes = [
        st.characters(min_codepoint=n << 16, max_codepoint=(n << 16) + 0xFFFF, exclude_categories=["Cs"]) for n in range(17)
    ]
    return st.lists(st.one_of(st.sampled_from(awkward), *planes)).map("".join)
