"""Whatever a stranger's file says, it is read or refused in one line, and the reader stays within its memory and time."""

import json
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.data.test_shard_damage import BYTES, damaged, require_told, swapped
from tests.unit.release.kit import NAME, fill
from yulan import digest, files, manifest
from yulan.release.card.evidence import Figure, naked, prose, read_evidence, unproven
from yulan.release.folder import check as check_folder
from yulan.release.gate.claims import header_of
from yulan.release.gate.contents import executable
from yulan.release.gate.header import unsound, unsound_header
from yulan.release.gate.secrets import secrets_in
from yulan.release.names import any_repo, parse
from yulan.release.publication import chain
from yulan.release.release import Half, Release, read_release, write_release
from yulan.release.sign import require_signed, sign
from yulan.release.trust import load_trust, new_key
from yulan.release.verdict import Ruling, Verdict, read_verdict, write_verdict
from yulan.release.withdrawal import standing_in
from yulan.schema import yaml_of

LOOSE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MEMORY, SECONDS = 700 << 20, 60
"""Address space beyond a bare reader's that the largest files may take, and time: docs/formats/release.md states both."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each small file of a release."""
    folder = tmp_path_factory.mktemp("sound") / "main"
    fill(folder, {"model.safetensors": b"\0" * 16, "sub/config.json": b"{}"}, data__main="0" * 64)
    write_verdict(folder, Verdict(format=1, bundle="0" * 64, verdict="pass", rules=(RULING,)))
    write_release(folder, Release(format=1, name=NAME, recipe="tiny", data=HALF, states=HALF, model=HALF))
    figure = {"text": "4", "file": "config.json", "key": "/layers", "format": "integer"}
    files.write_json(folder / "evidence.json", {"format": 1, "figures": [figure]})
    gone = {"format": 1, "revision": "main", "on": "2026-11-20", "reason": "wrong", "replacement": None}
    files.write_json(folder / "withdrawn.json", gone)
    branch = {"commit": "0" * 40, "digest": "0" * 64}
    repo = {"id": NAME, "kind": "model", "revisions": {"main": branch}, "tags": {"final": "0" * 40}}
    record = {"format": 1, "previous": None, "bundle": "0" * 64, "verdict": "0" * 64, "commit": "0" * 40}
    record |= {"lock": "0" * 64, "hub": "rehearsal", "time": "2026-11-20T00:00:00+00:00"}
    files.write_json(folder / "publications" / "0001.json", record | {"repos": [repo]})
    new_key(folder.parent / "key")
    public = (folder.parent / "key.pub").read_text()
    listed = {"public": public, "since": "2026-01-01", "revoked": {"on": "2026-11-01", "reason": "lost"}}
    files.write_json(folder / "keys.json", {"format": 1, "keys": [listed]})
    files.write_text(folder / "key.pub", public)
    sign(f"{NAME}@main", {"config.json": digest.of_bytes(b"{}")}, folder.parent / "key", folder)
    return folder


HALF = Half(revisions={"main": "0" * 64}, tags={"final": "main"})
RULING = Ruling(id="files-listed", sentence="Every file is listed once.", verdict="pass", evidence=("x",))


def held(path: Path) -> object:
    return require_signed(
        {"model.sig": path.read_bytes()}, {"config.json": digest.of_bytes(b"{}")}, load_trust(path.with_name("key.pub")), "here"
    )


READERS: dict[str, Callable[[Path], object]] = {
    "manifest.json": lambda path: check_folder(path.parent),
    "card.json": lambda path: check_folder(path.parent),
    "verdict.json": lambda path: read_verdict(path.parent),
    "release.json": lambda path: read_release(path.parent),
    "evidence.json": lambda path: unproven("4 layers", read_evidence(path).figures),
    "withdrawn.json": lambda path: standing_in(path.parent),
    "publications/0001.json": lambda path: chain(path.parent),
    "keys.json": load_trust,
    "key.pub": load_trust,
    "model.sig": held,
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_sound_is_read(sound: Path, name: str):
    READERS[name](sound / name)


@LOOSE
@given(data=st.data())
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_says_something_else_is_read_or_refused(sound: Path, name: str, data: st.DataObject):
    path = sound / name
    whole = path.read_bytes()
    if name == "key.pub" or data.draw(st.booleans()):
        path.write_bytes(damaged(whole, data.draw(BYTES)))
    else:
        path.write_text(json.dumps(swapped(json.loads(whole), data.draw)), encoding="utf-8")
    try:
        require_told(lambda: READERS[name](path))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '["\\ud83d\\ud83d\\ude00"]'])
def test_half_a_character_is_refused_before_anything_hashes_it(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(Exception, match="not JSON: 'utf-8' codec can't encode"):
        manifest.read(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text('"\\ud83d\\ude00"')
    with pytest.raises(Exception, match="is not of type object"):
        manifest.read(tmp_path / "manifest.json")


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@LOOSE
@given(data=st.data())
def test_a_header_that_passes_is_one_that_the_library_opens(tmp_path: Path, data: st.DataObject):
    """Ours is the stricter: what it lets pass, safetensors reads; what it names, it names in words."""
    told: Any = {"__metadata__": {"a": "b"}, "w": TENSOR, "v": TENSOR | {"data_offsets": [8, 16]}}
    if data.draw(st.booleans()):
        told = swapped(told, data.draw)
    raw = json.dumps(told).encode()
    if data.draw(st.booleans()):
        raw = damaged(raw, data.draw(BYTES))
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"\0" * data.draw(st.sampled_from((16, 16, 16, 15, 0))))
    found = unsound(path)
    assert found is None or " " in found
    if found is None:
        from safetensors import safe_open

        with safe_open(path, framework="np") as opened:
            assert all(opened.get_slice(name) is not None for name in opened.keys())  # noqa: SIM118 - not a dict


@LOOSE
@given(head=st.binary(max_size=64), size=st.integers(0, 1 << 40))
def test_any_bytes_have_a_kind_or_none(head: bytes, size: int):
    for told in (unsound_header(head, size), executable(head)):
        assert told is None or told


PIECES = ("---\n", "license: mit\n", "a: ", "[", "{", "&a ", "*a", "!!int ''", "!!timestamp x", "<!--", "-->", "```\n", "`", "](")
PIECES += (")", "1.5%", "\u4e00", "\n", "| 3 ", "https://x/1 ", "2001-99-99", "? ", "- ", "\t", "\0", "'")


@LOOSE
@given(
    parts=st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40), figures=st.lists(st.text(max_size=4), max_size=3)
)
@example(parts=["---\n", "a: !!int ''\n", "---\n"], figures=[])
@example(parts=["---\n", "a: 2001-99-99\n", "---\n"], figures=[])
@example(parts=["---\n", "? [a]\n: b\n", "---\n"], figures=[])
@example(parts=["---\n", "a: ", "[" * 5000, "\n---\n"], figures=[])
def test_any_text_is_a_card_that_can_be_read(parts: list[str], figures: list[str]):
    card = "".join(parts)
    assert isinstance(header_of(card), dict)
    assert len(prose(card)) == len(card)
    told = tuple(Figure(text=text, file="x.json", key="/x", format="text") for text in figures)
    assert all(isinstance(row, str) for row in unproven(card, told))
    list(secrets_in(card.splitlines()))


@LOOSE
@given(text=st.text(max_size=60))
def test_yaml_of_strangers_is_a_value_or_a_value_error(text: str):
    with suppress(ValueError):
        yaml_of(text)


@LOOSE
@given(text=st.text(max_size=40) | st.builds("hf://{}".format, st.text("aB/.-@_%\n ~:?#", max_size=30)))
def test_an_address_is_read_or_refused(text: str):
    require_told(lambda: parse(text))
    require_told(lambda: any_repo(text))
    for read in (parse, any_repo):
        try:
            found = read(text)
        except Exception:
            continue
        assert ".." not in str(found)
        assert "\n" not in str(found)


NASTY = {
    "comments that do not end": "<!--" * (1 << 20),
    "links that do not end": "](" * (1 << 21),
    "code that does not end": "`\n" * (1 << 21),
    "fences": "```\n" * (1 << 20),
    "one word": "1." * (1 << 21),
    "a header that does not end": "---\n" + "a: b\n" * (1 << 19),
}


@pytest.mark.parametrize("name", NASTY)
def test_a_card_of_four_megabytes_takes_seconds(name: str):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    card = NASTY[name]
    header_of(card)
    naked(prose(card))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 15


def test_figures_that_a_card_does_not_show_are_looked_for_a_hundred_times():
    told = tuple(Figure(text=f"x{n}", file="x.json", key="/x", format="text") for n in range(10_000))
    assert len(unproven("word " * 1000, told)) == 101


LARGE = {
    "lists": """path.write_text('{"files": [' + "[]," * (1 << 21) + "[]]}")""",
    "objects": """path.write_text('{"files": [' + "{}," * ((1 << 21) - 9) + "{}]}")""",
    "text": """path.write_text('{"files": "' + "a" * (60 << 20) + '"}')""",
    "digits": """path.write_text('{"files": ' + "1" * (60 << 20) + '}')""",
    "depth": """path.write_text("[" * (60 << 20))""",
    "a hole": """path.touch(); os.truncate(path, 1 << 40)""",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_the_largest_list_is_refused_within_memory_and_time(tmp_path: Path, kind: str):
    path = tmp_path / "manifest.json"
    exec(LARGE[kind], {"path": path, "os": __import__("os")})
    code = f"""
        import resource, sys
        from pathlib import Path
        from yulan import manifest
        from yulan.errors import YulanError
        bare = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (bare + {MEMORY}, bare + {MEMORY}))
        try:
            manifest.read(Path(sys.argv[1]))
        except YulanError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Error: {path}: ")
    assert len(done.stdout) < 1000


@pytest.mark.slow
def test_the_largest_header_is_refused_within_memory():
    code = f"""
        import resource
        from yulan.release.gate.header import unsound_header
        bare = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (bare + {MEMORY}, bare + {MEMORY}))
        for body in (b'{{"a":"' + b"x" * (99 << 20) + b'"}}', b"[" * (99 << 20), b'{{"a":{{' + b'"b":1,' * 500000):
            print(unsound_header(len(body).to_bytes(8, "little") + body, 1 << 40))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["a", "a", "a"]
