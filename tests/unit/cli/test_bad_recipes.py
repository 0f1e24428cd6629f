"""Bad recipes as a user meets them: exit code 3, one line with the file, the cause and the cure, and nothing is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.test_shard_damage import BYTES, damaged, require_told, swapped
from yulan.cli import main
from yulan.layout import shipped
from yulan.profile import load_profile
from yulan.recipe import load_recipe

RECIPE, SOURCES, MIX = "recipe.yaml", "sources.yaml", "mixes/phase-01.yaml"
PHASE = "phases.phase-02."
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.fixture
def clone(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copied)
    assert CliRunner().invoke(main, ["use", "nano"]).exit_code == 0
    return copied


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def require_refused(clone: Path, file: str, *words: str) -> None:
    """By each command that reads the file."""
    before = tree(clone)
    for command in [["use", "nano"], ["lint", "nano"], *([["plan", "nano"]] if file == RECIPE else [])]:
        done = CliRunner().invoke(main, command)
        assert (done.exit_code, type(done.exception), done.stdout) == (3, SystemExit, ""), done.output
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"Error: {clone}/recipes/nano/{file}")
        for each in words:
            assert each in line
    assert tree(clone) == before


@pytest.mark.parametrize("file", [RECIPE, SOURCES, MIX, "removed.yaml"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: !!python/object/apply:os.system ['touch {here}/ran']\n", "not plain YAML: could not determine a constructor"),
        ("x: !!python/name:os.system\n", "not plain YAML: could not determine a constructor"),
        (BOMB, "aliases are not allowed. Correct that line"),
        ("a: &a {b: 1}\nc: {<<: *a}\n", "aliases are not allowed"),
        ("name: nano\nname: nano\n", "the key 'name' stands twice"),
        ("- {a: 1, a: 2}\n", "the key 'a' stands twice"),
        ("a: 1\n---\nb: 2\n", "not plain YAML"),
        ("a: " + "[" * 150, "more than 100 collections in each other"),
        ("a: \x00\n", "not plain YAML"),
        ("", "is not of type object"),
        ("[]", "is not of type object"),
    ],
    ids=["tag", "name", "bomb", "merge", "twice", "twice inside", "two", "deep", "NUL", "empty", "list"],
)
def test_yaml_that_is_not_plain_is_refused_in_every_file(clone: Path, file: str, text: str, words: str):
    (clone / "recipes/nano" / file).write_text(text.replace("{here}", str(clone)))
    require_refused(clone, file, words)


@pytest.mark.parametrize("file", [RECIPE, SOURCES, MIX, "removed.yaml"])
@pytest.mark.parametrize(
    "data", [b"name: \xff\xfe\n", b"\xff\xfen\x00", b"\xed\xa0\x80: 1\n"], ids=["byte", "UTF-16", "surrogate"]
)
def test_a_file_that_is_not_utf8_is_refused(clone: Path, file: str, data: bytes):
    (clone / "recipes/nano" / file).write_bytes(data)
    require_refused(clone, file, "cannot be read (UnicodeDecodeError). Give a readable UTF-8 file")


Change = tuple[str, str, Any, str]
CHANGES: list[Change] = [
    (RECIPE, "schedule.peek", 0.01, "$.schedule: unknown key 'peek'. Did you mean 'peak'?"),
    (RECIPE, "schedule.peak", "1e-3", "'1e-3' is not of type number (write 1.0e-3, not 1e-3, which YAML reads as text)"),
    (RECIPE, "schedule.peak", float("nan"), ".nan is not a finite number"),
    (RECIPE, "schedule.peak", float("inf"), ".inf is not a finite number"),
    (RECIPE, "schedule.peak", -0.01, "$.schedule.peak: -0.01 is less than or equal to the minimum of 0"),
    (RECIPE, "schedule.peak", 0, "$.schedule.peak: 0 is less than or equal to the minimum of 0"),
    (RECIPE, "schedule.peak", True, "$.schedule.peak: 'True' is not of type number"),
    (RECIPE, "schedule.warmup", 10**6, "$.schedule.warmup: a warm-up of 1000000 steps is longer than phase-01"),
    (RECIPE, "schedule.warmup", -1, "$.schedule.warmup: -1 is less than the minimum of 0"),
    (RECIPE, PHASE + "after", "phase-2", "$.phases.phase-02.after: no phase named 'phase-2'. Did you mean"),
    (RECIPE, PHASE + "after", "phase-03", "comes after itself. Let the first phase come after init"),
    (RECIPE, PHASE + "skip", [{"first": 3, "last": 5}, {"first": 5, "last": 6}], "not stretches in rising order within steps"),
    (MIX, "sources.en/wiki.weight", -1, "$.sources.en/wiki.weight: -1 is less than the minimum of 0"),
    (MIX, "sources.en/wiki.weight", 1.5, "$.sources.en/wiki.weight: '1.5' is not of type integer"),
    (MIX, "sources.en/wiki.weight", 1 << 60, "$.total: the weights sum to "),
    (MIX, "total", 0, "$.total: 0 is less than the minimum of 1"),
    (MIX, "sources.en/wikki", {"weight": 0, "repeats": 0}, "no source named 'en/wikki'. Did you mean 'en/wiki'?"),
    (MIX, "sources", {}, "$.sources: "),
    (SOURCES, "sources.en/wiki.package", "ovos-skill-wiki-offlin", "no package 'ovos-skill-wiki-offlin'. Did you mean"),
]


@pytest.mark.parametrize(("file", "key", "value", "words"), CHANGES, ids=[f"{key}={value}"[:60] for _, key, value, _ in CHANGES])
def test_a_wrong_value_is_refused_where_it_stands(
    clone: Path, spoil: Callable[[str, str, Any], Path], file: str, key: str, value: Any, words: str
):
    spoil(file, key, value)
    require_refused(clone, file, words)


SHELL = [
    "a; touch ran",
    "$(touch ran)",
    "`touch ran`",
    "a|b",
    "a&b",
    "a>ran",
    "a b",
    "a'b",
    'a"b',
    "a\\b",
    "a\n",
    "\na",
    "../a",
    "ü",
    "",
]


@pytest.mark.parametrize("word", [*SHELL, "-a"])
def test_what_a_command_is_given_is_a_plain_word(clone: Path, spoil: Callable[[str, str, Any], Path], word: str):
    """dvc.yaml gives a shell the names of phases, pip gets names and versions of packages, sbatch what a profile says."""
    folder = clone / "recipes/nano"
    sound = {file: (folder / file).read_bytes() for file in (RECIPE, SOURCES)}
    phase = yaml.safe_load(sound[RECIPE])["phases"]["phase-03-short"]
    package = yaml.safe_load(sound[SOURCES])["packages"]["django"]
    places: list[tuple[str, str, Any]] = [(SOURCES, f"packages.{word}", package)] if "." not in word else []
    if word != "-a":
        places += [(RECIPE, f"phases.{word}", phase)] if "." not in word else []
        places += [(RECIPE, "phases.phase-02.mix", word), (RECIPE, "name", word), (SOURCES, "packages.django.version", word)]
    places.append((SOURCES, "packages.django.file", word))
    for file, key, value in places:
        spoil(file, key, value)
        require_refused(clone, file)
        (folder / file).write_bytes(sound[file])


@pytest.mark.parametrize("word", SHELL)
@pytest.mark.parametrize("key", ["partition", "account"])
def test_what_sbatch_is_given_is_a_plain_word(clone: Path, key: str, word: str):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text())
    slurm = {"nodes": 1, "gpus": 0, "minutes": 9, "notice": 60, "partition": None, "account": None}
    path = clone / "mine.yaml"
    path.write_text(yaml.safe_dump(raw | {"launcher": "slurm", "slurm": slurm}))
    load_profile(str(path))
    path.write_text(yaml.safe_dump(raw | {"launcher": "slurm", "slurm": slurm | {key: word}}))
    before = tree(clone)
    done = CliRunner().invoke(main, ["use", "nano", "--profile", "mine.yaml"])
    assert (done.exit_code, type(done.exception), len(done.stderr.splitlines())) == (3, SystemExit, 1)
    assert f"mine.yaml: $.slurm.{key}: " in done.stderr
    assert tree(clone) == before


@pytest.mark.parametrize("key", ["recipe", "profile", "phases.phase-01.parent", "phases.phase-01.before", "phases.phase-01.mix"])
@pytest.mark.parametrize("word", ["a; touch ran", "a\n", "$(a)", "../../a"])
def test_what_the_graph_is_given_is_a_plain_word(clone: Path, key: str, word: str):
    path = clone / "params.yaml"
    whole = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    inner = whole
    for name in parents:
        inner = inner[name]
    inner[last] = word
    path.write_text(yaml.safe_dump(whole))
    done = CliRunner().invoke(main, ["lint"])
    assert (done.exit_code, type(done.exception), len(done.stderr.splitlines())) == (3, SystemExit, 1)
    assert f"params.yaml: $.{key}: " in done.stderr


LOOSE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LOOSE
@given(data=st.data())
@pytest.mark.parametrize("file", [RECIPE, SOURCES, MIX])
def test_a_recipe_that_says_something_else_is_read_or_refused(copied: Path, file: str, data: st.DataObject):
    path = copied / "recipes/nano" / file
    sound = path.read_bytes()
    path.write_text(yaml.safe_dump(swapped(yaml.safe_load(sound), data.draw), allow_unicode=True))
    require_told(lambda: everything(copied))
    path.write_bytes(sound)


@LOOSE
@given(changes=BYTES)
@pytest.mark.parametrize("file", [RECIPE, SOURCES, MIX, "removed.yaml"])
def test_a_recipe_of_other_bytes_is_read_or_refused(copied: Path, file: str, changes: list[tuple[int, int]]):
    path = copied / "recipes/nano" / file
    sound = path.read_bytes()
    path.write_bytes(damaged(sound, changes))
    require_told(lambda: everything(copied))
    path.write_bytes(sound)


def everything(root: Path) -> None:
    """What commands work out of a recipe before a stage runs."""
    from yulan.lint import lint_recipe
    from yulan.params import params_for

    book = load_recipe(root, "nano")
    book.recipe.digest()
    params_for(book.recipe, "cpu-2")
    lint_recipe(book, root / "recipes/nano")
    for name, phase in book.recipe.phases.items():
        assert sum(book.mix(name).quotas(phase.tokens).values()) == phase.tokens
