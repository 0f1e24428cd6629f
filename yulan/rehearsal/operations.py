"""The lines of a commit request, as functions from one tree to the next."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from yulan.rehearsal.commits import Entry, large, small
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.store import Store
from yulan.rehearsal.tree import LARGE, checked
from yulan.rehearsal.wire import field

LINE = 2 * LARGE
"""Most bytes of one line: a small file in base64, and room to spare."""
BODY = 1 << 30
"""Most bytes of a commit request, as on the hub."""
OPERATIONS = 25_000
"""Most operations of one commit, as on the hub."""
SHA256 = re.compile(r"[0-9a-f]{64}")
Tree = dict[str, Entry]
Step = Callable[[Tree], Tree]


def read_operations(store: Store, lines: Iterator[bytearray]) -> tuple[dict[str, Any], list[Step]]:
    """Operations as functions on a tree, since only the lock's holder knows the tree they meet."""
    header: dict[str, Any] = {}
    steps: list[Step] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise Refused(400, "A line of the commit is not JSON") from None
        key, value = field(row, "key", str), field(row, "value", dict)
        if key == "header":
            header = value
        elif len(steps) == OPERATIONS:
            raise Refused(413, f"A commit has at most {OPERATIONS} operations")
        else:
            steps.append(_operation(store, key, value))
    return header, steps


def _operation(store: Store, key: str, value: dict[str, Any]) -> Step:
    path = checked(field(value, "path", str).strip("/"))
    if key == "file":
        content = field(value, "content", str)
        data = decoded(content) if value.get("encoding") == "base64" else content.encode()
        store.objects.put(data)
        return _placed(path, small(data))
    if key == "lfsFile":
        return _placed(path, _uploaded(store, path, value))
    if key == "deletedFile":
        return lambda tree: _without(tree, path, {path} & tree.keys())
    if key == "deletedFolder":
        return lambda tree: _without(tree, path, {name for name in tree if name.startswith(f"{path}/")})
    raise Refused(400, f"Unknown operation: {key!a}")


def _placed(path: str, entry: Entry) -> Step:
    return lambda tree: {**tree, path: entry}


def _uploaded(store: Store, path: str, value: dict[str, Any]) -> Entry:
    """The large file that an earlier upload left here; `size` is absent where a file is copied."""
    sha256, size = field(value, "oid", str), value.get("size")
    known = SHA256.fullmatch(sha256) and (store.objects.has(sha256, size) or store.xet.settle(sha256, size, store.objects))
    if not known:
        raise Refused(400, f"{path}: no bytes with this sha256 and size were uploaded")
    return large(sha256, store.objects.path(sha256).stat().st_size)


def _without(tree: Tree, path: str, gone: set[str]) -> Tree:
    if not gone:
        raise missing("entry", f"{path} does not exist")
    return {name: entry for name, entry in tree.items() if name not in gone}


def decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "Not base64") from None
