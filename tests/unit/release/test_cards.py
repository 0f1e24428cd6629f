"""Cards in two languages, the pages beside them, and a model's figures and parts in the forms that programs read."""

import json
import re
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from tests.unit.release.small import evaluation, make_inputs
from tests.unit.train.conftest import small_recipe
from tests.unit.train.states import write_states
from yulan import files
from yulan.layout import recipe_names
from yulan.recipe import load_recipe
from yulan.recipe.outcome import PASSED_ON
from yulan.release.bundle.build import build
from yulan.release.bundle.data import summary_of as summed
from yulan.release.bundle.inputs import Inputs
from yulan.release.bundle.papers import place_content, place_policy, size_class, text_of, where
from yulan.release.card.continued import write_continued
from yulan.release.card.duties import DUTIES, words
from yulan.release.card.evidence import PAGES, read_evidence, unproven
from yulan.release.card.results import model_index, registered, write_results
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.claims import numbers_proven
from yulan.release.gate.listing import files_listed
from yulan.release.gate.reported import aibom_valid, complaints, results_measured

ROOT = Path(__file__).parents[3]
FINAL = "phase-03-step-000032"
FOLDERS = ["data/main", "states/main", f"states/{FINAL}", "model/main", "model/phase-01-step-000016"]
FOLDERS.append("states/phase-03-step-000024")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_card_says_the_same_in_chinese(small: Path, folder: str):
    english, chinese = (read_evidence(small / folder / PAGES[name]).figures for name in ("README.md", "README.zh.md"))
    assert english == chinese
    said = (small / folder / "README.zh.md").read_text(encoding="utf-8")
    assert "## 许可证" in said
    assert "## 预期用途" in said
    assert "## Li" not in said
    listed = json.loads((small / folder / "card.json").read_text())["files"]
    assert {"README.md", "README.zh.md"} <= {file["path"] for file in listed}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_card_tells_licence_use_limits_and_citation(small: Path, folder: str):
    card = (small / folder / "README.md").read_text(encoding="utf-8")
    for title in ("Intended use", "Limitations", "Licences", "Citation"):
        assert f"\n## {title}\n" in card
    assert yaml.safe_load((small / folder / "CITATION.cff").read_text(encoding="utf-8"))["cff-version"] == "1.2.0"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_link_of_a_page_into_its_own_folder_leads_somewhere(small: Path, folder: str):
    for page in (small / folder).glob("*.md"):
        for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text(encoding="utf-8")):
            assert (small / folder / target).exists(), f"{page.name}: {target}"


def test_the_policy_gives_each_licence_its_share_and_each_source_its_reason(small: Path):
    policy = (small / "data/main/POLICY.md").read_text(encoding="utf-8")
    licences = json.loads((small / "data/main/manifest.json").read_text())["summary"]["licences"]
    bsd = licences["BSD-3-Clause"]
    assert f"| `BSD-3-Clause` | {bsd['documents']:,} | {bsd['tokens']:,} | {bsd['share']:.1%} | yes | no |" in policy
    assert "| `code/networkx` | `BSD-3-Clause` | NetworkX developers | the recipe names it" in policy
    assert "- no licence is stated: `en/wiki`." in policy
    for part in ("states/main", "model/main"):
        assert "| `BSD-3-Clause` | yes | no |" in (small / part / "POLICY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", recipe_names(ROOT))
def test_the_text_of_every_source_of_our_recipes_has_a_reason(recipe: str):
    book = load_recipe(ROOT, recipe)
    for name, source in book.sources.sources.items():
        text = text_of(book, name)
        assert text.published == (source.synthetic or name in book.recipe.release.text)
        if text.published and not source.synthetic:
            assert text.licence in PASSED_ON
        if not source.synthetic and source.hub != "unknown":
            assert where(book, name)


def made_up(inputs: Inputs, folder: Path) -> Inputs:
    """Shards of every source that the recipe's mixes use, with numbers of no meaning."""

    def split(path: str, tokens: int) -> dict[str, object]:
        return {"documents": 7, "tokens": tokens, "bytes": 0, "files": [{"path": path, "tokens": tokens}]}

    sources = {
        name: {part: split(f"{name}/{part}/tokens-00000.bin", 10 + n) for part in ("train", "held")}
        for n, name in enumerate(inputs.used)
    }
    files.write_json(folder / "shards.json", json.loads((inputs.shards / "shards.json").read_text()) | {"sources": sources})
    return replace(inputs, shards=folder)


@pytest.mark.parametrize("recipe", recipe_names(ROOT))
def test_policy_and_training_content_hold_for_every_recipe(recipe: str, tmp_path: Path):
    inputs = replace(make_inputs(tmp_path / "clone"), book=load_recipe(ROOT, recipe))
    inputs = made_up(inputs, tmp_path / "data")
    summary = summed(inputs)
    place_policy(inputs, tmp_path / "data", summary)
    place_content(inputs, tmp_path / "data", {}, summary)
    for page in ("POLICY.md", "training-content.md"):
        text = (tmp_path / "data" / page).read_text(encoding="utf-8")
        assert unproven(text, read_evidence(tmp_path / "data" / PAGES[page]).figures) == []
        assert len(text) < 100_000


def test_every_licence_that_is_passed_on_has_its_duties():
    assert DUTIES.keys() >= PASSED_ON
    assert [words(name) for name in ("CC0-1.0", "MIT", "CC-BY-SA-4.0", "x")] == [
        ("no", "no"),
        ("yes", "no"),
        ("yes", "yes"),
        ("unknown", "unknown"),
    ]


def test_the_training_content_answers_every_item_of_both_forms(small: Path):
    told = (small / "data/main/training-content.md").read_text(encoding="utf-8")
    parts = ["1", "2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3", "3.1", "3.2", "3.3"]
    assert re.findall(r"^##+ `([\d.]+)`", told, re.MULTILINE) == parts
    rows = re.findall(r"^\| `(\d+)` \| [^|]+ \| ([^|]+) \|$", told, re.MULTILINE)
    assert [number for number, _ in rows] == [str(n) for n in range(1, 13)]
    assert all(answer.strip() for _, answer in rows)
    assert "Not legal advice" in told
    assert f"`{size_class(1)}`" in told


def test_text_is_sized_as_the_form_asks():
    assert [size_class(n) for n in (10**9 - 1, 10**9, 1_080_000_000_000, 10**13 + 1)] == [
        "less than 1 billion tokens",
        "1 billion to 10 trillion tokens",
        "1 billion to 10 trillion tokens",
        "more than 10 trillion tokens",
    ]


@pytest.mark.parametrize(
    ("folder", "page"),
    [
        ("data/main", "training-content.md"),
        ("data/main", "POLICY.md"),
        ("model/main", "README.zh.md"),
        ("states/main", "POLICY.md"),
    ],
)
def test_a_number_without_evidence_is_found_in_every_page(small: Path, tmp_path: Path, folder: str, page: str):
    shutil.copytree(small, tmp_path / "bundle")
    path = tmp_path / "bundle" / folder / page
    path.write_text(path.read_text(encoding="utf-8") + "\nIt has 12345 parts.\n", encoding="utf-8")
    assert f"{folder}: '12345' has no evidence" in list(numbers_proven(Bundle(path=tmp_path / "bundle")))


def test_a_page_that_nothing_proves_is_named(small: Path, tmp_path: Path):
    shutil.copytree(small, tmp_path / "bundle")
    (tmp_path / "bundle/model/main/NOTES.md").write_text("Best of 7.\n")
    rows = list(numbers_proven(Bundle(path=tmp_path / "bundle")))
    assert rows == ["model/main: nothing says where the numbers of NOTES.md are from"]


def test_the_stock_client_reads_the_results_in_a_card(small: Path):
    card = ModelCard((small / "model/main/README.md").read_text(encoding="utf-8"))
    found = {result.dataset_name: result for result in card.data.eval_results}
    assert found["arc_easy"].metric_value == 0.25
    assert found["arc_easy"].dataset_args == {"num_few_shot": 0, "items": 100}
    assert found["held-out text, prose"].metric_type == "bits_per_byte"
    assert not any(result.verified for result in found.values())
    assert card.data.license == "mit"


def test_a_header_without_results_has_no_index():
    assert model_index("a/b", "main", {"tasks": {}, "held_out": {}}, {}) == ""


def test_a_data_set_of_the_hub_is_called_by_its_id():
    index = yaml.safe_load(model_index("a/b", "main", evaluation("phase-01", 8), {"arc_easy": "allenai/ai2_arc"}))
    assert index["model-index"][0]["results"][0]["dataset"]["type"] == "allenai/ai2_arc"


def asked(items: int) -> dict[str, object]:
    task = {"metric": "exact_match", "value": 0.41234, "stderr": 0.0135, "shots": 5, "items": items}
    return {"tasks": {"gsm8k": task, "arc_easy": task}, "held_out": {}}


def test_a_registered_benchmark_that_was_asked_whole_is_told_as_the_hub_reads_it(tmp_path: Path):
    write_results(tmp_path, registered("a/b", FINAL, asked(1319)))
    (path,) = (tmp_path / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (path.name, entry.dataset_id, entry.task_id, entry.value) == ("gsm8k.yaml", "openai/gsm8k", "gsm8k", 41.23)
    assert entry.source_url == f"https://huggingface.co/a/b/blob/{FINAL}/evaluation.json"
    assert entry.verify_token is None


def test_a_part_of_a_benchmark_is_no_result_of_it(tmp_path: Path):
    write_results(tmp_path, registered("a/b", FINAL, asked(100)))
    assert not list(tmp_path.iterdir())


def test_the_inventory_names_every_file_source_and_package(small: Path):
    raw = json.loads((small / "model/main/aibom.cdx.json").read_text())
    model = raw["metadata"]["component"]
    assert (model["group"], model["name"], model["version"]) == ("yulan-nano", "YuLan-Nano", FINAL)
    assert model["licenses"] == [{"license": {"id": "MIT"}}]
    assert "model.safetensors" in {each["name"] for each in model["components"]}
    data = next(each for each in raw["components"] if each["bom-ref"] == "data")
    licences = {each["name"]: each["licenses"][0]["license"] for each in data["components"]}
    assert licences["en/wiki"] == {"name": "unknown"}
    assert licences["code/networkx"] == {"id": "BSD-3-Clause"}
    packages = {each["purl"] for each in raw["components"] if each["type"] == "library"}
    assert len(packages) == len((ROOT / "requirements.lock").read_text().split())
    assert raw["serialNumber"].startswith("urn:uuid:")
    assert uuid.UUID(raw["serialNumber"][9:]).version == 5


def test_two_revisions_have_two_serial_numbers(small: Path):
    names = [folder.name for folder in (small / "model").iterdir() if folder.name != "main"]
    numbers = {json.loads((small / "model" / name / "aibom.cdx.json").read_text())["serialNumber"] for name in names}
    assert len(numbers) == len(names)


def test_the_strict_validator_refuses_a_key_that_is_none():
    head = {"bomFormat": "CycloneDX", "specVersion": "1.7"}
    assert not list(complaints(json.dumps(head)))
    assert "'nope' was unexpected" in next(complaints(json.dumps(head | {"nope": 1})))


def continued(folder: Path, base: dict[str, str] | None) -> Path:
    """What `yulan continue` leaves, without the training."""
    states = write_states(folder / "states", small_recipe(), "phase-02")
    shutil.copytree(states / "checkpoint", folder / "out/checkpoints/step-000096")
    text = {"licence": "CC-BY-4.0", "digest": "1" * 64, "tokens": 4096, "repeated": 12}
    digests = dict.fromkeys(("begun_from", "ended_with", "mix", "shards", "tokenizer"), "2" * 64)
    told = {"format": 4, "base": base, "recipe": "nano-mine", "phase": "mine", "sources": {"notes": text}, **digests}
    told |= {"trajectory": "CLOSE", "fresh_optimizer": True, "rebalanced": None, "warnings": ["torch changed from 2.12 to 2.13"]}
    files.write_json(folder / "out/continued.json", told)
    write_continued(folder / "out")
    return folder / "out"


def test_a_continued_model_names_its_base_as_the_stock_client_reads_it(tmp_path: Path):
    base = {"model": "a/b", "relation": "finetune", "revision": "phase-02-step-000096", "digest": "3" * 64}
    out = continued(tmp_path, base)
    for page in ("README.md", "README.zh.md"):
        text = (out / page).read_text(encoding="utf-8")
        assert unproven(text, read_evidence(out / PAGES[page]).figures) == []
        assert "3" * 64 in text
        assert "| `notes` | `CC-BY-4.0` | 4,096 | 12 |" in text
    card = ModelCard((out / "README.md").read_text(encoding="utf-8"))
    assert (card.data.base_model, card.data.to_dict()["base_model_relation"]) == ("a/b", "finetune")
    assert card.data.license == "unknown"
    assert "torch changed from 2.12 to 2.13" in card.text
    assert "从 [a/b](https://huggingface.co/a/b) 的版本" in (out / "README.zh.md").read_text(encoding="utf-8")


def test_without_a_published_parent_no_base_is_named(tmp_path: Path):
    card = (continued(tmp_path, None) / "README.md").read_text(encoding="utf-8")
    assert "base_model" not in card
    assert "of which no published model is known" in card


def test_a_registered_result_passes_the_gate_in_a_bundle_and_an_edited_one_does_not(tmp_path: Path):
    inputs = make_inputs(tmp_path / "clone")
    files.write_json(
        inputs.evaluated["phase-03"] / "evaluation.json", evaluation("phase-03", 32) | {"tasks": asked(1319)["tasks"]}
    )
    build(inputs, tmp_path / "bundle")
    bundle = Bundle(path=tmp_path / "bundle")
    assert [*results_measured(bundle), *numbers_proven(bundle), *files_listed(bundle), *aibom_valid(bundle)] == []
    path = tmp_path / "bundle" / "model" / FINAL / ".eval_results" / "gsm8k.yaml"
    told = path.read_text()
    path.write_text(told.replace("41.23", "61.23"))
    assert list(results_measured(bundle)) == [
        f"model/{each}: .eval_results/gsm8k.yaml is not what was measured" for each in ("main", FINAL)
    ]
    path.write_text(told + "  verifyToken: x\n")
    assert len(list(results_measured(bundle))) == 2
    path.unlink()
    assert f"model/{FINAL}: no .eval_results/gsm8k.yaml" in list(results_measured(bundle))
