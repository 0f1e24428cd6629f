"""Documents as ids, quickly: by tiktoken where it gives the ids of `tokenizers`, else by `tokenizers`.

Both merge the same pairs; tiktoken takes a fifth of the time, and a batch is one call that lets other threads run. What could
differ is how text is cut before merging: each has its own engine for expressions and its own version of Unicode. So only patterns
of SPLITS are taken, which a test compares on every code point, texts that hold one of those that differ go the slow way, and
whoever loads a vocabulary compares all of its entries and awkward texts.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import tiktoken

from yulan.data.tokenizer import Codec, Tokens

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPLITS: Mapping[tuple[str, bool], str] = {
    (GPT2, False): GPT2,
    # Digits are cut off first, one by one: what comes before one ends there, spaces too.
    (GPT2, True): r"\p{N}|'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+",
}
"""(pattern, whether digits are cut off first) -> the pattern that cuts as both together."""
NEWER = re.compile("[\U00011de0-\U00011de9\U00016ff4-\U00016ff6]")
"""Digits that are new in Unicode 17: what cuts single digits in tokenizers 0.23 knows them, the expressions of both do not."""
END = "\x1d"
"""Stands for the end of a document while many are cut at once; a text that holds it goes the slow way."""
AWKWARD = (
    "", " ", "  ", "\n\n a", "a  1", "1  a", " 12 3.4", "it's 'll 've", "\u3000全角\u3000１２", "e\u0301", "\0", "\ufeff",
    "½ Ⅳ ೨", "🏳️‍🌈 x", "\x1c\x85\u2028\u00a0 a", "</s><s>", "don't\t\tstop\r\n\r\n", "ſ ǅ ᾈ", "a" * 300, "數据" * 20, "_-_ ++ ==",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """A codec with the quick way beside it."""

    codec: Codec
    quick: tiktoken.Encoding | None
    """None: it would give other ids, or nobody has compared."""

    def encode(self, texts: Sequence[str]) -> tuple[Tokens, Tokens]:
        """As `Codec.encode`, id for id."""
        joined = END.join([*texts, ""])
        if self.quick is None or joined.count(END) != len(texts) or (not joined.isascii() and NEWER.search(joined)):
            return self.codec.encode(texts)
        ids = self.quick.encode_to_numpy(joined, allowed_special={END}, disallowed_special=()).astype(np.int64)
        ends = np.flatnonzero(ids == self.codec.eos_id) + 1
        lengths = np.diff(ends, prepend=0)
        if self.codec.bos_id is not None:
            ids, lengths = np.insert(ids, ends - lengths, self.codec.bos_id), lengths + 1
        return ids, lengths


def quicken(codec: Codec) -> Encoder:
    """The quick way where the ids are equal; compared are every entry that is text, and texts that are awkward to cut."""
    quick = _built(json.loads(codec.backend.to_str()), codec.eos_id)
    found = Encoder(codec=codec, quick=quick)
    if quick is not None:
        entries = (codec.backend.decode([number], skip_special_tokens=False) for number in range(codec.vocab_size))
        # One text that goes the slow way would take the others with it, and nothing would be compared.
        probes = [*AWKWARD, *(each for each in entries if not {"\ufffd", END} & {*each} and not NEWER.search(each))]
        probes += [" ".join(probes[:200]), "".join(probes[200:400])]
        if not all(np.array_equal(*both) for both in zip(found.encode(probes), codec.encode(probes), strict=True)):
            return Encoder(codec=codec, quick=None)
    return found


def _built(about: Mapping[str, Any], eos_id: int) -> tiktoken.Encoding | None:
    """tiktoken's reading of a tokenizer.json; None: a kind that it has no equal for."""
    model, cutters = about["model"], _cutters(about["pre_tokenizer"])
    merged = model.get("vocab")
    added = {each["content"]: each for each in about["added_tokens"]}
    plain = (
        model["type"] == "BPE"
        and about["normalizer"] is None
        and not any(model.get(key) for key in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
        and not model.get("ignore_merges")
        and all(each["special"] for each in added.values())
    )
    if not plain or cutters is None or cutters not in SPLITS:
        return None
    known = bytes_of_letters()
    ranks = {name: rank for name, rank in merged.items() if name not in added}
    if not all(letter in known for name in ranks for letter in name):
        return None
    return tiktoken.Encoding(
        "yulan",
        pat_str=SPLITS[cutters],
        mergeable_ranks={bytes(known[letter] for letter in name): rank for name, rank in ranks.items()},
        special_tokens={END: eos_id},
    )


def _cutters(about: Mapping[str, Any] | None) -> tuple[str, bool] | None:
    """Pattern, and whether digits are cut off first, of a byte-level tokenizer; None: another kind."""
    steps = list(about["pretokenizers"]) if about and about["type"] == "Sequence" else []
    digits = bool(steps) and steps[0] == {"type": "Digits", "individual_digits": True}
    if len(steps) - digits != 2:
        return None
    split, levels = steps[digits:]
    byte_level = levels["type"] == "ByteLevel" and not levels["add_prefix_space"] and not levels["use_regex"]
    isolated = split["type"] == "Split" and split["behavior"] == "Isolated" and not split["invert"]
    return (split["pattern"].get("Regex", ""), digits) if byte_level and isolated else None


def bytes_of_letters() -> dict[str, int]:
    """GPT-2's writing of a byte as a letter: itself where it is printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


Batch = tuple[list[str], list[str]]


def encode_all(encoder: Encoder, batches: Iterable[Batch], threads: int) -> Iterator[tuple[Batch, Tokens, Tokens]]:
    """Ids and texts, with all ids and lengths, in the order given; so many batches are at work at a time, and two more wait."""
    waiting: list[tuple[Batch, Future[tuple[Tokens, Tokens]]]] = []
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(encoder.encode, batch[1])))
            if len(waiting) > threads + 1:
                first, done = waiting.pop(0)
                yield first, *done.result()
        for first, done in waiting:
            yield first, *done.result()
