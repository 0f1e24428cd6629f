"""The README's commands: each verb, option, target, stage and file that it names exists."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from yulan.cli import main
from yulan.layout import find_root

ROOT = find_root(Path(__file__).parent)
PAGES = ["README.md", "README.zh.md"]


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S):
            found += [(page, line) for line in block.splitlines() if line and not line.startswith("#")]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_the_readme_exists(page: str, line: str):
    line = re.sub(r"^\w+=\$\([^)]*\) ", "", line)
    words = [w for w in shlex.split(line, comments=True) if w != "&"]
    tool, rest = Path(words[0]).name, words[1:]
    if tool == "make":
        assert re.search(rf"(?m)^{rest[0]}:", (ROOT / "Makefile").read_text())
    elif tool == "dvc":
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        phases = yaml.safe_load((ROOT / "params.yaml").read_text())["phases"]
        for target in (w for w in rest[1:] if not w.startswith("-")):
            stage, _, phase = target.partition("@")
            assert stage in stages
            assert not phase or phase in phases
    else:
        assert tool == "yulan"
        command: click.Command | None = main
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None
        known = {option for each in command.params for option in each.opts}
        assert {w for w in rest if w.startswith("--")} <= known


def test_the_chinese_page_shows_no_command_that_the_english_one_lacks():
    shown = {page: {line.split("  #")[0].strip() for where, line in commands() if where == page} for page in PAGES}
    assert shown["README.zh.md"] - shown["README.md"] == set()


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert not missing


def test_the_tree_in_the_readme_is_the_tree():
    block = re.search(r"```\n(recipes/.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert block
    parent = ""
    for line in block[1].splitlines():
        name = line.split()[0]
        parent = name if not line.startswith(" ") and name.endswith("/") else parent
        assert (ROOT / (parent + name if line.startswith(" ") else name)).exists(), name
