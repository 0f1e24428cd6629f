"""Byte-level BPE: learned here, lossless on every Unicode string, deaf to control tokens written in text. Others': adopt.py."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from yulan import files
from yulan.data.documents import read_training, source_names
from yulan.errors import DataError, RecipeError
from yulan.mix import allocate
from yulan.recipe import corpus

Tokens = npt.NDArray[np.int64]

CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """A tokenizer as shards use it."""

    backend: Tokenizer
    vocab_size: int
    eos_id: int
    bos_id: int | None
    """None: documents do not begin with one."""

    def encode(self, texts: Sequence[str]) -> tuple[Tokens, Tokens]:
        """Documents as ids: [bos] ids... eos, one after the other.

        Returns: all ids (N,), and the number of ids of each document (len(texts),).
        """
        bos = [] if self.bos_id is None else [self.bos_id]
        flat: list[int] = []
        lengths = np.empty(len(texts), np.int64)
        for i, made in enumerate(self.backend.encode_batch_fast(texts, add_special_tokens=False)):
            before = len(flat)
            flat += bos
            flat += made.ids
            flat.append(self.eos_id)
            lengths[i] = len(flat) - before
        return np.array(flat, np.int64), lengths

    def decode(self, ids: Sequence[int]) -> str:
        """The text, control tokens left out."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=True)
        return text


def first_bytes(texts: Iterable[str], size: int) -> Iterator[str]:
    """Whole texts from the start, until they hold `size` bytes."""
    taken = 0
    for text in texts:
        if taken >= size:
            return
        taken += len(text.encode())
        yield text


def sample(folder: Path, size: int, held_out: int) -> Iterator[str]:
    """About `size` bytes of training text: from each source in proportion, whole documents in id order."""
    names = source_names(folder)
    there = {name: sum(len(text.encode()) for text in read_training(folder, name, held_out)) for name in names}
    total = sum(there.values())
    if not total:
        raise DataError("no text to learn a tokenizer from", where=folder, cure="Loosen data.clean or add a source")
    for name, share in allocate(there, min(size, total)).items():
        yield from first_bytes(read_training(folder, name, held_out), share)


def train(texts: Iterator[str], settings: corpus.Tokenizer, *, begin_with_bos: bool) -> Tokenizer:
    """Learn the merges. Equal texts in equal order give equal bytes.

    Raises: RecipeError: the pattern is no regular expression, bos or eos is not special, a merge spells a
    control token, or the tokenizer is a published one; DataError: the text holds too few pairs for the vocabulary.
    """
    control_ids(settings)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = _cutter(settings.learned)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=settings.vocab_size,
            min_frequency=2,
            special_tokens=list(settings.special),
            # All 256 bytes, seen or not: what makes it lossless on every string.
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    if made.get_vocab_size() < settings.vocab_size:
        raise DataError(
            f"the sample yields {made.get_vocab_size()} entries, not {settings.vocab_size}",
            where="$.data.tokenizer.vocab_size",
            cure="Raise sample_bytes, add text, or lower vocab_size",
        )
    # The trainer gives a merged string that equals a special one the special id: text would then spell control tokens.
    merged = {"".join(pair) for pair in json.loads(made.to_str())["model"]["merges"]}
    if spelt := sorted(merged & set(settings.special)):
        cure = "Choose a pattern that cuts between letters and signs"
        raise RecipeError(f"a merge spells the control token {spelt[0]!r}", where="$.data.tokenizer.learn.pattern", cure=cure)
    if begin_with_bos:
        bos = settings.bos
        made.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, made.token_to_id(bos))]
        )
    return made


def control_ids(settings: corpus.Tokenizer) -> tuple[int, int]:
    """Ids of bos and eos: control tokens have those from 0 on, in the recipe's order.

    Raises: RecipeError: bos or eos is not special.
    """
    for key in ("bos", "eos"):
        if getattr(settings, key) not in settings.special:
            raise RecipeError(
                f"{getattr(settings, key)!r} is not special",
                where=f"$.data.tokenizer.{key}",
                cure="Add it to $.data.tokenizer.special",
            )
    return settings.special.index(settings.bos), settings.special.index(settings.eos)


def _cutter(settings: corpus.Learn) -> pre_tokenizers.PreTokenizer:
    try:
        split = pre_tokenizers.Split(Regex(settings.pattern), "isolated")
    except Exception as error:  # the library raises plain Exception
        raise RecipeError(
            f"not a regular expression: {str(error)[:80]}", where="$.data.tokenizer.learn.pattern", cure="Correct it"
        ) from None
    digits = [pre_tokenizers.Digits(individual_digits=True)] if settings.single_digits else []
    return pre_tokenizers.Sequence([*digits, split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def save(made: Tokenizer, folder: Path, settings: corpus.Tokenizer) -> None:
    """Write what `AutoTokenizer.from_pretrained(folder)` reads."""
    files.write_text(folder / "tokenizer.json", made.to_str(pretty=True) + "\n")
    files.write_json(folder / CONFIG, config(settings, None))


def take(published: Path, folder: Path, settings: corpus.Tokenizer) -> None:
    """Write a published tokenizer, its bytes as they are, with settings of ours."""
    files.copy(published, folder / "tokenizer.json")
    files.write_json(folder / CONFIG, config(settings, None))


def config(settings: corpus.Tokenizer, context: int | None) -> dict[str, Any]:
    """tokenizer_config.json; `context` is the longest input in tokens, None where it is a model's to say."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>" if "<unk>" in settings.special else None,
        "bos_token": settings.bos,
        "eos_token": settings.eos,
        "clean_up_tokenization_spaces": False,
        # Without this line the class also returns token_type_ids, which a Llama refuses.
        "model_input_names": ["input_ids", "attention_mask"],
        "chat_template": CHAT_TEMPLATE,
    } | ({"model_max_length": context} if context else {})


def load(folder: Path, settings: corpus.Tokenizer, *, begin_with_bos: bool) -> Codec:
    """The tokenizer in `folder`, set to cut control tokens in text into bytes.

    Raises: DataError: not a tokenizer, or one without the recipe's bos or eos.
    """
    path = folder / "tokenizer.json"
    try:
        made = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise DataError(f"not a tokenizer: {str(error)[:80]}", where=path, cure="Build it again") from None
    made.encode_special_tokens = True
    ids = {name: made.token_to_id(name) for name in (settings.bos, settings.eos)}
    if missing := [name for name, found in ids.items() if found is None]:
        raise DataError(f"no token {missing[0]!r}", where=path, cure="Build it again from this recipe")
    bos = ids[settings.bos] if begin_with_bos else None
    # Published ones leave ids out.
    size = max(made.get_vocab().values()) + 1
    return Codec(backend=made, vocab_size=size, eos_id=ids[settings.eos], bos_id=bos)


def bytes_per_token(folder: Path, codec: Codec, families: Mapping[str, str], size: int, held_out: int) -> dict[str, float]:
    """Bytes of text per token by family, on about `size` bytes of each source; `families` names each source's."""
    text, tokens = Counter[str](), Counter[str]()
    control = 1 + (codec.bos_id is not None)
    for name in source_names(folder):
        some = list(first_bytes(read_training(folder, name, held_out), size))
        text[families[name]] += sum(len(document.encode()) for document in some)
        tokens[families[name]] += int(codec.encode(some)[1].sum()) - control * len(some)
    return {name: round(text[name] / tokens[name], 3) for name in sorted(text) if tokens[name]}
