"""Bits per byte of held-out text under a model of transformers: what held_out.py says of a phase, of any model of its tokenizer.

A document's first token is not predicted, its end is, and what lies past the context is cut: the stage's own figure.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yulan.data.shard import read_shards
from yulan.evaluate.answers import Answered
from yulan.evaluate.asked import rows_digest
from yulan.evaluate.held_out import byte_lengths, read_held_out
from yulan.evaluate.runner import Ids
from yulan.evaluate.subject import Opened

METRIC = "bits_per_byte"


def measure(opened: Opened, shards: Path, sources: Sequence[str], tokens: int, limit: int | None) -> Answered | str:
    """Over the held-out documents of some sources, at most `tokens` ids of each; or why not."""
    read, sizes = read_shards(shards), byte_lengths(opened.tokenizer.backend_tokenizer)
    rows, data = [], []
    for source in sorted(read.sources.keys() & set(sources)):
        documents = read_held_out(shards, read, source, tokens=tokens, context=opened.subject.context)
        for number, ids in enumerate(documents[:limit]):
            if len(ids) > 1:
                data.append({"source": source, "item": number, "ids": ids.tolist()})
                bits = _bits(opened.model, ids)
                rows.append({"task": source, "item": number, "bits": bits, "bytes": int(sizes[ids[1:]].sum())})
    size = sum(row["bytes"] for row in rows)
    if not size:
        return "no text of it is held out"
    value = math.fsum(row["bits"] for row in rows) / size
    return Answered(
        value=value,
        stderr=ratio_error(rows, value),
        higher_is_better=False,
        data=rows_digest(data),
        prompts=None,
        new_tokens=None,
        rows=rows,
    )


@torch.no_grad()
def _bits(model: Any, ids: Ids) -> float:
    """Of all targets of one document."""
    row_T = torch.from_numpy(np.asarray(ids, np.int64)).to(model.device)
    logits_TV = model(row_T[None, :-1]).logits[0].float()
    nats_T = torch.nn.functional.cross_entropy(logits_TV, row_T[1:], reduction="none")
    return float(nats_T.double().sum()) / math.log(2)


def ratio_error(rows: Sequence[Mapping[str, Any]], value: float) -> float | None:
    """Standard error of bits over bytes, documents being the sample: the residuals' spread over the mean size.

    Source: Cochran, Sampling Techniques, 1977, section 6.4.
    """
    count = len(rows)
    if count < 2:
        return None
    residuals = math.fsum((row["bits"] - value * row["bytes"]) ** 2 for row in rows) / (count - 1)
    return math.sqrt(residuals / count) / (math.fsum(row["bytes"] for row in rows) / count)
