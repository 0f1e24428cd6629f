"""What a hub, or another server that files come from, says instead of what it was asked for."""

from collections.abc import Mapping

from yulan.errors import HubError


class Refused(HubError):
    """It is there and says no: nothing of that name, or not for this token."""


class Busy(HubError):
    """It is there and says: later."""

    after: float | None = None
    """Seconds that it asks to wait."""


class NoRange(HubError):
    """It sends a file from its start only."""


def refusal(status: int, headers: Mapping[str, str], place: str, said: str | None) -> HubError:
    """An HTTP status in words; `said` are the server's own."""
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
    default = (f"the hub answered {status}", "Run the same command again; what was sent is not sent twice")
    sentence, cure = told.get(status, default)
    said = said or headers.get("X-Error-Message")
    kind = kind_of(status)
    return timed(kind(sentence, where=place, cure=cure, evidence=[said] if said else []), headers.get("Retry-After"))


def kind_of(status: int) -> type[HubError]:
    """What is worth another try, and what is not."""
    later = status in {408, 425, 429} or status >= 500
    return Busy if later else Refused if status >= 400 else HubError


def timed(error: HubError, retry_after: str | None) -> HubError:
    """With what the header Retry-After asks to wait; a date, which hubs do not send, counts as nothing."""
    if isinstance(error, Busy) and retry_after and retry_after.isascii() and retry_after.isdigit():
        error.after = float(retry_after)
    return error
