"""What a passing rule tells, and what a recipe may waive: single findings of rules that judge by likelihood, with a reason."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.unit.release.test_gate import rule
from tests.unit.release.wrong_claims import SHORT, recipe, scale
from tests.unit.release.wrong_data import replace
from yulan.errors import RecipeError
from yulan.recipe import load_recipe
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.distances import Pair, compare
from yulan.release.gate.judge import RULES, judge, rule_on
from yulan.release.gate.rule import Rule
from yulan.schema import load_json, shipped


@pytest.fixture
def bundle(small: Path, tmp_path: Path) -> Path:
    """A copy whose files share bytes with the original; writing to one gives it bytes of its own."""
    shutil.copytree(small, tmp_path / "bundle", copy_function=os.link)
    return tmp_path / "bundle"


def told(bundle: Path, name: str) -> tuple[str, ...]:
    ruling = rule_on(rule(name), Bundle(path=bundle))
    assert ruling.verdict == "pass"
    return ruling.evidence


def test_the_tokens_under_each_licence_are_told(small: Path):
    rows = told(small, "licences-counted")
    assert rows[0] == "unknown: 50.0% of 16,384 tokens; no text published"
    assert rows[1] == "BSD-3-Clause: 40.0% of 16,384 tokens; text published"
    assert rows[2] == "Apache-2.0: 10.0% of 16,384 tokens; text published"


def test_whom_to_name_is_told(small: Path):
    assert told(small, "duties-met") == ("code/networkx: BSD-3-Clause, name NetworkX developers",)


def test_neighbours_are_compared_by_learning_rate(small: Path):
    (row,) = told(small, "distances-plausible")
    assert row.startswith("3 neighbours, 0.")


def test_two_neighbours_have_no_median(bundle: Path):
    shutil.rmtree(bundle / "states" / SHORT)
    release = json.loads((bundle / "release.json").read_text())
    del release["states"]["revisions"][SHORT]
    replace(bundle / "release.json", json.dumps(release))
    assert told(bundle, "distances-plausible") == ("2 neighbours are too few to have a median",)


def ratios(phase: str, *found: float) -> list[Pair]:
    return [Pair(phase=phase, before=f"{phase} {n}", after=f"{phase} {n + 1}", ratio=ratio) for n, ratio in enumerate(found)]


def test_a_phase_with_neighbours_enough_has_a_median_of_its_own():
    early, late = ratios("phase-01", 1.0, 1.1, 1.2), ratios("phase-02", 100.0, 110.0, 120.0, 13.8)
    assert [row for row in compare(early + late) if isinstance(row, str)] == []
    late = ratios("phase-02", 100.0, 110.0, 120.0, 13.0)
    rows = [row for row in compare(early + late) if isinstance(row, str)]
    assert rows == ["phase-02 3 to phase-02 4 is 13 by learning rate, the median 105"]
    lone = ratios("phase-03", 700.0)
    assert [row for row in compare(early + lone) if isinstance(row, str)] == [
        "phase-03 0 to phase-03 1 is 700 by learning rate, the median 1.15"
    ]


def test_a_card_that_shares_alike_says_so_in_both_languages(small: Path):
    from yulan.release.card.duties import lines_of
    from yulan.release.card.write import words

    asked = {"en/wiki": ("CC-BY-SA-4.0", "Wikipedia contributors"), "zh/own": ("CC0-1.0", "us")}
    english, chinese = (lines_of(asked, words(language)) for language in ("en", "zh"))
    link = "[CC-BY-SA-4.0](https://spdx.org/licenses/CC-BY-SA-4.0.html)"
    alike = "what is made from it is passed on under the same licence only"
    assert english["en/wiki"] == f"- `en/wiki`: by Wikipedia contributors, under {link}; {alike}."
    assert "same licence" not in english["zh/own"]
    assert (
        chinese["en/wiki"] == f"- `en/wiki`: 由 Wikipedia contributors 提供，许可证 {link}; 由其改编的内容只能以同一许可证转发."
    )


SECRET = "data/main/notes.txt:1 looks like a secret (password)"


def plant(bundle: Path) -> None:
    replace(bundle / "data/main/notes.txt", "password: 'Sommer" + "2024!'\n")


def waive(bundle: Path, finding: str, rule: str = "no-secrets") -> None:
    recipe(bundle, waivers=[{"rule": rule, "finding": finding, "reason": "an example of the manual"}])


def rulings(bundle: Path, *names: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    found = judge(bundle, "0" * 64, tuple(rule(name) for name in names)).rules
    return {ruling.id: (ruling.verdict, ruling.evidence) for ruling in found}


def test_a_finding_is_waived_word_for_word_and_with_its_reason(bundle: Path):
    plant(bundle)
    assert rulings(bundle, "no-secrets")["no-secrets"] == ("fail", (SECRET,))
    waive(bundle, SECRET)
    assert rulings(bundle, "no-secrets")["no-secrets"] == ("waived", (f"{SECRET}: an example of the manual",))


def test_a_waiver_of_one_finding_leaves_the_others(bundle: Path):
    plant(bundle)
    waive(bundle, SECRET)
    replace(bundle / "data/main/more.txt", "password: 'Winter" + "2023!'\n")
    assert rulings(bundle, "no-secrets")["no-secrets"] == ("fail", (SECRET.replace("notes", "more"),))


def test_a_waiver_of_nothing_fails_its_rule(bundle: Path):
    waive(bundle, SECRET)
    assert rulings(bundle, "no-secrets")["no-secrets"] == ("fail", (f"the recipe waives what was not found: {SECRET}",))


def test_a_distance_can_be_waived(bundle: Path):
    scale(bundle, 40.0, SHORT)
    verdict, rows = rulings(bundle, "distances-plausible")["distances-plausible"]
    assert verdict == "fail"
    waivers = [{"rule": "distances-plausible", "finding": row, "reason": "another optimizer"} for row in rows]
    recipe(bundle, waivers=waivers)
    assert rulings(bundle, "distances-plausible")["distances-plausible"][0] == "waived"


@pytest.mark.parametrize(
    ("waiver", "words"),
    [
        (
            {"rule": "no-pickle"},
            r"\$\.release\.waivers\[0\]\.rule: 'no-pickle' is not one of the known values\.",
        ),
        ({"rule": "no-secret"}, r"'no-secret' is not one of the known values\. Did you mean 'no-secrets'\?"),
        ({"rule": ""}, r"\.rule: '' is not one of the known values"),
        ({"rule": None}, r"\.rule: None is not one of the known values"),
        ({"reason": ""}, r"\.reason: '' should be non-empty"),
        ({"finding": ""}, r"\.finding: '' should be non-empty"),
        ({"until": "2027"}, r"unknown key 'until'"),
    ],
)
def test_a_waiver_of_no_rule_or_without_a_reason_is_refused(bundle: Path, waiver: dict[str, object], words: str):
    recipe(bundle, waivers=[{"rule": "no-secrets", "finding": SECRET, "reason": "an example"} | waiver])
    with pytest.raises(RecipeError, match=words):
        load_recipe(bundle / "data/main", "tiny")
    assert rulings(bundle, "licences-stated")["licences-stated"][0] == "fail"


def test_the_schema_names_the_rules_that_can_be_waived():
    told = load_json(shipped("schemas") / "recipe.json")["properties"]["release"]["properties"]["waivers"]
    assert set(told["items"]["properties"]["rule"]["enum"]) == {each.id for each in RULES if each.waivable}


def test_a_rule_that_stumbles_over_a_file_has_failed(bundle: Path):
    def stumbles(bundle: Bundle):
        """It reads a file that nobody expected to be a list."""
        yield from [][0]

    ruling = rule_on(Rule(id="stumbles", check=stumbles), Bundle(path=bundle))
    assert (ruling.verdict, ruling.evidence) == ("fail", ("cannot be asked: IndexError",))
