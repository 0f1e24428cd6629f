"""Everything that can go wrong for a user, as one tree and one renderer.

    YulanError
    ├─ RecipeError     3  a recipe, profile, mix or schema file is wrong
    ├─ DataError       4  a source or a document is not what was promised
    ├─ IntegrityError  5  bytes do not match their manifest, or would run code
    ├─ StateError      6  the clone, the environment or the graph is not ready
    ├─ HubError        7  a hub refused, failed or is not there
    ├─ ResourceError   8  no space, no port, no permission
    └─ TrainError      9  training stopped before its end

The number is the command's exit code; 2 is click's own (wrong words on the command line), 130 an interrupt, and 10 no
error but a verdict: DIFFERENT of `yulan replay`, criteria not met of `yulan evaluate`.
A message says what, where and the cure in one line; longer evidence follows as indented lines.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def shown(value: object) -> str:
    """Show control characters escaped: a file name may not drive the reader's terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


class YulanError(Exception):
    """A fault the user can cure. `what` states it, `cure` says what to type or change."""

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, cure: str, evidence: Iterable[str] = ()) -> None:
        self.what, self.where, self.cure = what, where, cure
        self.evidence = tuple(evidence)
        super().__init__(render(self))

    def as_json(self) -> dict[str, Any]:
        """To carry it out of another process; `from_json` makes it again."""
        where = None if self.where is None else str(self.where)
        rest = {"where": where, "cure": self.cure, "evidence": list(self.evidence)}
        return {"kind": type(self).__name__, "what": self.what, "rest": rest}


class RecipeError(YulanError):
    exit_code = 3


class DataError(YulanError):
    exit_code = 4


class IntegrityError(YulanError):
    exit_code = 5


class StateError(YulanError):
    exit_code = 6


class HubError(YulanError):
    exit_code = 7


class ResourceError(YulanError):
    exit_code = 8


class TrainError(YulanError):
    exit_code = 9


def from_json(raw: dict[str, Any]) -> YulanError:
    """The error that `as_json` took apart."""
    (kind,) = (each for each in YulanError.__subclasses__() if each.__name__ == raw["kind"])
    return kind(raw["what"], **raw["rest"])


def render(error: YulanError) -> str:
    """`Error: where: what. cure`, then the evidence, one indented line each (at most 20)."""
    place = f"{shown(error.where)}: " if error.where is not None else ""
    rows = [f"Error: {place}{shown(error.what)}. {shown(error.cure)}"]
    rows += [f"  {shown(row)}" for row in error.evidence[:20]]
    if len(error.evidence) > 20:
        rows.append(f"  … and {len(error.evidence) - 20} more")
    return "\n".join(rows)


def refusal(error: OSError | UnicodeDecodeError) -> ResourceError:
    """What the disk said, or a text that is none, where nobody expected it: a user's file all the same."""
    what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    where = error.filename if isinstance(error, OSError) else None
    return ResourceError(f"cannot be read or written ({what})", where=where, cure="Check the files that the command names")


@contextmanager
def told() -> Iterator[None]:
    """An error ends the process: its lines on stderr, its exit code, no traceback."""
    try:
        try:
            yield
        except (OSError, UnicodeDecodeError) as error:
            raise refusal(error) from None
    except YulanError as error:
        print(render(error), file=sys.stderr)
        sys.exit(error.exit_code)
