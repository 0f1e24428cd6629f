"""What a hub, or another server that files come from, says instead of what it was asked for."""

from collections.abc import Mapping, Sequence

from huggingface_hub.utils import parse_ratelimit_headers

from yulan.errors import HubError


class Refused(HubError):
    """It is there and says no: nothing of that name, or not for this token."""


class Away(HubError):
    """It does not answer, is overloaded or failed: the same may work later."""

    pause: float | None = None
    """Seconds that it asked to wait."""


class NoRange(HubError):
    """It sends a file from its start only."""


def refusal(status: int, headers: Mapping[str, str], place: str, evidence: Sequence[str]) -> HubError:
    """A hub's HTTP status in words."""
    code = headers.get("X-Error-Code")
    told = {
        401: ("the hub does not accept this token", "Set HF_TOKEN, give --token-file, or run: hf auth login"),
        403: ("the token may not write there", "Use a token with write access to this repository's owner"),
        404: ("no such repository, revision or file", "Check the name; private ones need a token"),
        429: ("the hub asks to slow down (429)", "Wait five minutes, then run the same command again"),
    }
    if status == 401 and code == "GatedRepo":
        told[401] = ("this repository is gated", "Ask for access on its page, then use your own token")
    if status == 401 and code == "RepoNotFound":
        # Hubs tell a stranger no more of a private repository than that it does not exist.
        told[401] = told[404]
    default = (f"the hub answered {status}", "Run the same command again")
    sentence, cure = told.get(status, default)
    kind = kind_of(status)
    return timed(kind(sentence, where=place, cure=cure, evidence=evidence), headers)


def kind_of(status: int) -> type[HubError]:
    """What is worth another try, and what is not."""
    if status in {408, 425, 429} or status >= 500:
        return Away
    return Refused if status in {401, 403, 404, 410, 416} else HubError


def timed(error: HubError, headers: Mapping[str, str]) -> HubError:
    """With the seconds that an answer asks to wait for, in either of the two headers that say so."""
    if isinstance(error, Away):
        limit = parse_ratelimit_headers(headers)
        after = headers.get("Retry-After") or ""
        asked = limit.reset_in_seconds if limit is not None and limit.remaining == 0 else after
        error.pause = float(asked) if str(asked).isdecimal() else None
    return error
