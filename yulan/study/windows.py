"""The windows that a study reads, indexed once: a rerun goes on with those that are there."""

from collections.abc import Mapping
from pathlib import Path

from yulan.data.pack import HEADER, write_pack
from yulan.data.shard import Shards
from yulan.data.spans import Span, cut_segments, plan_spans
from yulan.mix import Portions


def index_windows(place: Path, portions: Portions, tokens: int, context: int, shards: Shards, taken: Mapping[str, Span]) -> None:
    """Write a pack of so many tokens, behind what is `taken` of each source, unless it is there.

    Raises: DataError: the sources cannot fill it.
    """
    if not (place / HEADER).exists():
        spans = plan_spans(portions, tokens, shards, taken)
        write_pack(place, context=context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
