"""The hub's way of saying no: a status, a sentence, and the code by which clients choose their exception."""

NOT_FOUND = {"repo": "RepoNotFound", "revision": "RevisionNotFound", "entry": "EntryNotFound"}


class Refused(Exception):
    """Answered as JSON with the headers X-Error-Message and, where clients know one, X-Error-Code."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}


def missing(what: str, message: str, **headers: str) -> Refused:
    """404 for a `repo`, a `revision` or an `entry`."""
    return Refused(404, message, NOT_FOUND[what], {name.replace("_", "-"): value for name, value in headers.items()})
