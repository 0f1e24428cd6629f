"""A publisher in a process of its own, on a road that can fail, and what must hold of the hub whatever happened to it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.rows import require
from tests.unit.release.faulty import GONE, Answer, Faulty, Forward, faulty
from tests.unit.release.kit import NAME, contents, go, judge, make_bundle, start_git
from yulan import files
from yulan.errors import HubError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.folder import ALIEN, CARD_SIGNATURE, RECORDS, SIGNATURE
from yulan.release.hub import Hub
from yulan.release.names import PARTS, Address, Part, repo
from yulan.release.pull import pull
from yulan.release.trust import load_trust, new_key

OWN = {SIGNATURE, CARD_SIGNATURE}
"""What a publication adds to a folder, beside the records."""
Trees = dict[str, dict[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A release to be published, a hub that holds the one before it or nothing, and a road between them."""

    layout: Layout
    key: Path
    hub: Served
    road: Faulty
    old: Trees
    """`part/branch` -> files; empty where the hub has nothing yet."""
    new: Trees
    scratch: Path
    tags_before: Mapping[str, str]
    """Of the model, with their commits."""

    @property
    def by_road(self) -> Served:
        return replace(self.hub, url=self.road.url)

    def publish(self, token: str | None = None, patience: float = 0.0) -> list[str]:
        return go(self.layout, self.by_road, token, self.key, patience=patience)

    def killed(self, at: int, when: str) -> str:
        """Publish in a child that is killed at request `at` (from 0): before, in or after it. Returns: that request."""
        struck: list[str] = []
        child: list[int] = []

        def strike(method: str, path: str, forward: Forward) -> Answer | None:
            if struck:
                return GONE
            if len(self.road.seen) - 1 != at:
                return None
            struck.append(shape(method, path))
            if when == "after":
                forward()
            os.kill(child[0], signal.SIGKILL)
            if when == "in":
                forward(part=0.5)
            return GONE

        self.road.seen.clear()
        self.road.faults.append(strike)
        child.append(fork(lambda: self.publish(), self.scratch / "said"))
        code = os.waitstatus_to_exitcode(os.waitpid(child[0], 0)[1])
        self.road.faults.clear()
        said = self.scratch / "said"
        require(
            code == -signal.SIGKILL and struck, f"the publisher ended with {code}:", said.read_text() if said.exists() else ""
        )
        return struck[0]

    def look(self, whole: bool = False) -> set[str]:
        """Main and tags of all three serve what was there before, or the new release whole: each is pulled, its signature and
        every byte are checked. Returns: tags that are absent though they were there before (a hub has no call to move one)."""
        absent: set[str] = set()
        seen: set[tuple[str, str]] = set()
        for part in PARTS:
            try:
                branches, tags = self.client.refs(repo(NAME, part))
            except HubError:
                require(not whole and not self.old, f"{part} is not there")
                continue
            wanted = {"main": "main"} | dict(judge(self.layout).release.part(part).tags)
            for name, branch in wanted.items():
                commit = (branches if name == "main" else tags).get(name)
                if commit is None:
                    require(not whole, f"{part} has no tag {name}")
                    absent |= {name} if self.old else set()
                elif (part, commit) not in seen:
                    self._serves(part, name, branch, commit, whole)
                    seen.add((part, commit))
        return absent

    @property
    def client(self) -> Hub:
        return Hub(self.hub.url, self.hub.token)

    def _serves(self, part: Part, name: str, branch: str, commit: str, whole: bool) -> None:
        if not self.client.tree(repo(NAME, part), commit).keys() - {ALIEN}:
            require(not whole and not self.old, f"{part}@{name} is empty")
            return
        into = self.scratch / "pulled"
        files.remove(into)
        pull(
            Hub(self.hub.url, None),
            Address(name=NAME, part=part, revision=name),
            into,
            None,
            lambda _: None,
            load_trust(self.key.with_suffix(".pub")),
        )
        got = {path: data for path, data in contents(into).items() if path not in OWN and not path.startswith(f"{RECORDS}/")}
        known = [trees[f"{part}/{branch}"] for trees in ([self.new] if whole else [self.old, self.new]) if trees]
        require(got in known, f"{part}@{name} is neither the old nor the new one")

    def finish(self) -> int:
        """Run it again: no object that is whole on the hub is sent again, what it says of bytes is what came. Returns: bytes."""
        before, start = self.road.stored(), len(self.road.sent)
        said = self.publish()
        sent = self.road.sent[start:]
        twice = before & {each.name for each in sent}
        require(not twice, "sent again:", sorted(twice))
        size = sum(each.size for each in sent)
        told = next(line for line in said if line.startswith("sent "))
        require(told.startswith(f"sent {size:,} bytes; "), f"it says: {told}, and {size:,} bytes came")
        self.look(whole=True)
        return size


def fork(work: Callable[[], object], said: Path) -> int:
    """A child that ends with 0 or, told in `said`, with 1."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        said.write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def shape(method: str, path: str) -> str:
    """A request without what differs from one to the next: `POST commit`."""
    parts = path.partition("?")[0].split("/")
    where = (
        parts[2] if parts[1] == "lfs" else "lfs batch" if path.endswith("/batch") else parts[5] if len(parts) > 5 else parts[2]
    )
    return f"{method} {where}"


def prepare(folder: Path, *, again: bool) -> None:
    """`clone`, `key` and the storage of a hub that holds nothing, or (`again`) the release before the clone's, kept as `old`."""
    layout = Layout(root=folder / "clone", recipe="tiny")
    bundle = layout.stage("bundle").data
    make_bundle(bundle)
    judge(layout)
    start_git(layout.root)
    new_key(folder / "key")
    (folder / "old").mkdir()
    if again:
        with running_hub(folder / "hub") as hub:
            go(layout, hub, key=folder / "key")
        files.remove(folder / "old")
        shutil.move(bundle, folder / "old")
        make_bundle(bundle, seed=b"\7\0")


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Play in a prepared folder."""
    layout = Layout(root=folder / "clone", recipe="tiny")
    with running_hub(folder / "hub") as hub, faulty(hub) as road:
        old, new = _trees(folder / "old"), _trees(layout.stage("bundle").data)
        tags = Hub(hub.url, hub.token).refs(repo(NAME, "model"))[1] if old else {}
        yield Scene(
            layout=layout, key=folder / "key", hub=hub, road=road, old=old, new=new, scratch=folder, tags_before=tags
        )  # fmt: skip


def _trees(bundle: Path) -> Trees:
    return {f"{part}/{each.name}": contents(each) for part in PARTS for each in sorted((bundle / part).glob("*"))}
