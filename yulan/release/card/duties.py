"""What a licence asks of whoever passes a text on. A summary for readers; the licence itself decides."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Duty:
    attribution: bool
    """Name the authors, the licence and what was changed, or keep the notices."""
    share_alike: bool
    """Pass changed text on under the same licence only."""


_NONE = Duty(attribution=False, share_alike=False)
_NAMED = Duty(attribution=True, share_alike=False)
_SHARED = Duty(attribution=True, share_alike=True)
DUTIES: Mapping[str, Duty] = {
    **dict.fromkeys(("0BSD", "CC0-1.0", "PDDL-1.0", "Unlicense"), _NONE),
    **dict.fromkeys(("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"), _NAMED),
    **dict.fromkeys(("CC-BY-3.0", "CC-BY-4.0", "CDLA-Permissive-2.0", "ODC-By-1.0"), _NAMED),
    **dict.fromkeys(("CC-BY-SA-3.0", "CC-BY-SA-4.0", "GFDL-1.3-or-later", "GPL-2.0-or-later", "GPL-3.0-or-later"), _SHARED),
}
"""By SPDX id. A licence that is not here asks what its text says; pages say `unknown`."""


def words(licence: str) -> tuple[str, str]:
    """Whether attribution and share-alike are asked for: `yes`, `no`, `unknown`."""
    duty = DUTIES.get(licence)
    return ("unknown", "unknown") if duty is None else (_yes(duty.attribution), _yes(duty.share_alike))


def _yes(told: bool) -> str:
    return "yes" if told else "no"
