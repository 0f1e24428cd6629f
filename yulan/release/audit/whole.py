"""Whether a checkpoint in another tool's layout has all its files: what its own index or the numbers in its names promise."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from yulan.release.audit.finding import Finding, among
from yulan.release.audit.survey import Seen, Survey
from yulan.release.audit.zipped import TEXTS, opcodes

_UNIVERSAL = re.compile(r"(?P<place>(?:^|.*/)zero/.+)/(?P<kind>fp32|exp_avg|exp_avg_sq)\.pt$")
_RANK = re.compile(r"(?P<place>.*?)zero_pp_rank_(?P<rank>\d{1,6})_mp_rank_(?P<other>\d{1,6})_(?P<kind>\w+_states)\.pt$")
KINDS = ("fp32", "exp_avg", "exp_avg_sq")


def whole(survey: Survey) -> Iterator[Finding]:
    """DeepSpeed's universal files come in threes, its ranks without gaps; torch's distributed ones as `.metadata` says."""
    for seen in survey.revisions:
        for lost in (_universal(seen), _ranks(seen), _distributed(survey, seen) if seen in survey.looked else []):
            if lost:
                yield Finding(id="missing-shard", severity="error", where=seen.name, what=f"files are not there: {among(lost)}")


def _universal(seen: Seen) -> list[str]:
    found: dict[str, set[str]] = defaultdict(set)
    for name in seen.files:
        if match := _UNIVERSAL.match(name):
            found[match["place"]].add(match["kind"])
    wanted = {kind for kinds in found.values() for kind in kinds}
    return sorted(f"{place}/{kind}.pt" for place, kinds in found.items() for kind in KINDS if kind in wanted - kinds)


def _ranks(seen: Seen) -> list[str]:
    found: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for name in seen.files:
        if match := _RANK.match(name):
            found[match["place"], match["other"], match["kind"]].add(int(match["rank"]))
    # Of each folder, the highest rank of any kind says how many there were.
    most: dict[str, int] = defaultdict(int)
    for (place, _, _), ranks in found.items():
        most[place] = max(most[place], max(ranks) + 1)
    return sorted(
        f"{place}zero_pp_rank_{rank}_mp_rank_{other}_{kind}.pt"
        for (place, other, kind), ranks in found.items()
        for rank in range(min(most[place], len(seen.files)))
        if rank not in ranks
    )


def _distributed(survey: Survey, seen: Seen) -> list[str]:
    lost = []
    for name in sorted(seen.files):
        path = PurePosixPath(name)
        if path.name == ".metadata":
            told = {str(text) for opcode, text in opcodes(survey.data(seen, name) or b"") if opcode in TEXTS}
            named = sorted(text for text in told if text.endswith(".distcp") and "/" not in text)
            lost += [str(path.parent / each) for each in named if str(path.parent / each) not in seen.files]
    return lost
