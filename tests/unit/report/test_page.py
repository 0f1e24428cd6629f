import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from yulan.manifest import Manifest
from yulan.recipe import Book
from yulan.report import charts, tables
from yulan.report.facts import Facts
from yulan.report.page import Rule, Subject, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "rect", "circle", "path"}


class Reader(HTMLParser):
    """Collects what a page would load, its open elements, and the words outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "data", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.words).append(data)


@pytest.fixture(scope="module")
def page(book: Book, facts: Facts, artifacts: dict[str, Manifest]) -> str:
    rules = (Rule(sentence="every file listed once", verdict="pass"), Rule(sentence="no pickles", verdict="fail"))
    environment = {"Python": "3.11", "requirements.lock": "ab" * 32}
    return render(Subject(book=book, facts=facts, artifacts=artifacts, rules=rules, environment=environment))


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_is_well_formed(page: str, read: Reader):
    assert page.lstrip().startswith("<!doctype html>")
    assert not read.open
    assert len(read.ids) == len(set(read.ids))


def test_the_page_loads_nothing(page: str, read: Reader):
    assert all(load.startswith(("#", "data:")) for load in read.loads)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page


def test_the_library_is_there_once_and_every_chart_has_its_place_and_data(page: str, read: Reader, book: Book):
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', page, re.S)[1])
    assert sorted(specs) == sorted(charts.DRAWN)
    assert set(charts.DRAWN) <= set(read.ids)
    assert sum("vegaEmbed=" in s or len(s) > 500_000 for s in read.scripts) == 1


def test_words_of_the_model_cannot_become_markup(page: str, read: Reader):
    text = "".join(read.words)
    assert "人工智能是" in text
    assert "研究<b>与</b>科学。\n</script><script>x</script>" in text


def test_every_number_a_picture_shows_stands_in_a_table_too(read: Reader, facts: Facts, artifacts: dict[str, Manifest]):
    words = set(read.words)
    assert {f"{share.tokens:,}" for share in facts.mixes if share.tokens} <= words
    assert {f"{score.after:.3f}" for score in facts.scores} <= words
    assert {made.digest for made in artifacts.values()} <= words
    assert "0.250 ± 0.043" in words


def test_stability_has_its_own_part_and_says_which_steps_were_refused(page: str, read: Reader, facts: Facts):
    assert "stability" in read.ids
    part = page[page.index('<section id="stability">') : page.index('<section id="evaluation">')]
    assert "A triangle at the foot" in part
    assert "Refused steps" in part
    last = [look.value for look in facts.looks if (look.what, look.step, look.phase) == ("hidden_rms", 320, "phase-03")]
    assert f"{last[0]:.2f} → {last[-1]:.2f}" in part


def test_what_packing_lost_stands_beside_each_mix(book: Book, artifacts: dict[str, Manifest]):
    rows = tables.packing(artifacts).rows
    assert [row[0] for row in rows] == list(book.recipe.phases)
    assert rows[0][1:] == ("whole", "245,760", "1,264", "1,263", "242,393", "22", "3")
    assert tables.packing({"shards": artifacts["shards"]}).rows == ()


def test_equal_subjects_give_equal_pages(page: str, book: Book, facts: Facts, artifacts: dict[str, Manifest]):
    bare = Subject(book=book, facts=facts, artifacts=artifacts, rules=(), environment={})
    assert render(bare) == render(bare)
    assert "rules of the gate" in page
    assert "rules of the gate" not in render(bare)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1400, 420])
def test_a_browser_without_network_draws_every_chart_and_complains_of_nothing(page: str, tmp_path: Path, width: int):
    (tmp_path / "index.html").write_text(page)
    told = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", f"--window-size={width},2000"]
    told += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *told, f"file://{tmp_path}/index.html"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "CONSOLE" not in done.stderr
    for name in charts.DRAWN:
        drawn = done.stdout[done.stdout.index(f'id="{name}"') :]
        drawn = drawn[: drawn.index("</figure>")]
        assert "<svg" in drawn
        assert drawn.count("<path") > 10


def test_the_page_says_what_a_score_is_and_how_far_it_agrees(read: Reader):
    words = " ".join(" ".join(read.words).split())
    assert "likeness to the reference sources as a classifier sees it, not a person’s judgement" in words
    for shown in ("quality/summary", "0.919", "score 5", "321", "taken", "123", "0.951", "0.962"):
        assert shown in words


def test_the_page_tells_what_each_synthetic_family_gave(read: Reader):
    words = [word.strip() for word in read.words if word.strip()]
    assert "What was synthesised" in words
    at = words.index("sums")
    assert words[at : at + 8] == ["sums", "accepted 5, twin 1", "4", "8", "5", "100.0%", "50.0%", "75.0%"]
    assert "no sandbox" in words
