"""Each planted fault is found and named; a repository without one gives no finding that matters."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub as stock
import pytest
from click.testing import CliRunner

from tests.unit.release.audit_kit import CARD, Files, asked, clean, findings, lay, serve, step, surveyed, tensors
from tests.unit.release.kit import NAME
from yulan.cli import main
from yulan.errors import HubError, StateError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.audit.deep import contents
from yulan.release.audit.run import audit, compare
from yulan.release.audit.survey import Seen, Survey, look
from yulan.release.names import Repo, any_repo


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running_hub(tmp_path_factory.mktemp("audited")) as served:
        yield served


def test_a_clean_series_gives_no_finding(hub: Served):
    assert findings(hub, "a/clean", clean()) == {}


@pytest.mark.parametrize("tags", ["first", "other first", ""])
def test_a_tag_left_behind_by_an_edited_card_is_its_branch(hub: Served, tags: str):
    made = clean()
    made["main"] = made["main"] | {"checkpoints.csv": f"revision,tags\nstep0,{tags}\nstep2000,\n".encode()}
    repo = serve(hub, f"a/tagged-{len(tags)}", made)
    api = stock.HfApi(endpoint=hub.url, token=hub.token)
    api.create_tag(repo.id, tag="first", revision="step0")
    edit = [stock.CommitOperationAdd("README.md", CARD + b"An erratum.\n")]
    api.create_commit(repo.id, edit, commit_message="x", revision="step0")
    found = [finding.what for finding in audit(surveyed(hub, repo)).findings]
    assert found == ([] if tags else ["one set of weights: step0, first"])


def put(path: str, data: bytes, branch: str = "step1000") -> Callable[[dict[str, Files]], None]:
    return lambda revisions: revisions[branch].__setitem__(path, data)


def copy(source: str, target: str) -> Callable[[dict[str, Files]], None]:
    return lambda revisions: revisions[target].__setitem__("model.safetensors", revisions[source]["model.safetensors"])


def lose(path: str, branch: str) -> Callable[[dict[str, Files]], None]:
    return lambda revisions: revisions[branch].__delitem__(path)


INDEX = json.dumps({"weight_map": {"w": "model-00001-of-00002.safetensors"}}).encode()
PICKLE = b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R."
FAULTS: dict[str, tuple[Callable[[dict[str, Files]], None], str, str]] = {
    "serves-main": (copy("main", "step1000"), "equals-main", "error step1000 their weights are those of main: step1000"),
    "serves-another": (copy("step0", "step1000"), "identical-weights", "step0, step1000"),
    "no-weights": (lose("model.safetensors", "step0"), "no-weights", "error step0"),
    "empty-file": (put("tokenizer.json", b""), "empty-file", "step1000:tokenizer.json 0 bytes"),
    "lost-shard": (put("model.safetensors.index.json", INDEX), "missing-shard", "model-00001-of-00002.safetensors"),
    "pickle-name": (put("training_args.bin", PICKLE), "pickle", "step1000:training_args.bin"),
    "pickle-inside": (put("vocab.dat", PICKLE + b"\0" * 2_000), "pickle", "step1000:vocab.dat its bytes are a pickle"),
    "pickle-bin": (put("index.bin", PICKLE + b"\0" * 40), "pickle", "step1000:index.bin its bytes are a pickle"),
    "program": (put("modeling_x.py", b"print(1)\n"), "remote-code", "step1000:modeling_x.py"),
    "auto-map": (put("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}'), "remote-code", "auto_map makes a client run code"),
    "no-licence": (put("README.md", b"# A model\n", "main"), "licence", "the card states no licence"),
    "secret": (
        put("run.txt", b"x\ntoken = 'hf_" + b"Ab1" * 12 + b"'\n"),
        "secret",
        "step1000:run.txt line 2 looks like a secret",
    ),
    "claim": (put("README.md", CARD + b"It scores 64.7 on LAMBADA.\n", "main"), "claim", "numbers without evidence: 64.7"),
    "dead-link": (put("README.md", CARD + b"[x](figures/loss.png)\n", "main"), "dead-link", "figures/loss.png is not there"),
    "label": (
        put("trainer_state.json", b'{"global_step": 999}'),
        "label-step",
        "its name says 1000; trainer_state.json says 999",
    ),
    "adam": (
        put("trainer_state.json", b'{"global_step": 1000, "adam_step": 990, "skipped": [1, 2]}'),
        "label-step",
        "AdamW with the skipped steps says 992",
    ),
    "folder": (put("global_step1001/zero/w/fp32.pt", PICKLE), "label-step", "the folder global_step1001 says 1001"),
    # As with the 1,415 checkpoints of https://github.com/allenai/OLMo-core/issues/729.
    "vanished": (
        put("checkpoints.csv", b"revision,step\nstep0,0\nstep500,500\nstep1500,1500\n", "main"),
        "vanished",
        "error main checkpoints.csv lists what is not there: step500, step1500",
    ),
    "states-gone": (put("optimizer.safetensors", tensors(m=[0.5])), "no-states", "without optimizer states: step0"),
    "header": (put("more.safetensors", b"\xff" * 64), "safetensors", "a header of"),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_planted_fault_is_found_and_named(hub: Served, fault: str):
    plant, rule, words = FAULTS[fault]
    revisions = {name: dict(files) for name, files in clean().items()}
    plant(revisions)
    found = findings(hub, f"a/{fault}", revisions)
    assert rule in found, found
    assert words in found[rule]


def test_several_checkpoints_in_one_revision_each_say_their_own_step(hub: Served):
    made = clean()
    made["main"] = dict(made["main"])
    for number in (500, 1000):
        made["main"] |= {f"checkpoint-{number}/trainer_state.json": f'{{"global_step": {number}}}'.encode()}
        made["main"] |= {f"global_step{number}/notes.txt": b"x"}
    made["main"]["latest"] = b"global_step1000"
    assert findings(hub, "a/several", made) == {}
    made["main"]["checkpoint-500/trainer_state.json"] = b'{"global_step": 400}'
    found = findings(hub, "a/several-wrong", made)["label-step"]
    assert found.endswith("its folder says 500; checkpoint-500/trainer_state.json says 400")
    made = clean()
    made["step1000"]["latest"] = b"global_step999\n"
    assert findings(hub, "a/latest", made)["label-step"].endswith("its name says 1000; the file latest says 999")


def test_a_mirror_that_differs_is_named(hub: Served, tmp_path: Path):
    repo = serve(hub, "a/mirrored", clean())
    with running_hub(tmp_path / "mirror") as other:
        changed = {name: dict(files) for name, files in clean().items()}
        changed["step1000"]["config.json"] = b"{}"
        del changed["step0"]["LICENSE"]
        serve(other, "a/mirrored", changed)
        one, two = surveyed(hub, repo), surveyed(other, repo)
        assert list(compare(one, one, "itself")) == []
        rows = {f"{each.where} {each.what}" for each in compare(one, two, "there")}
        assert rows == {"step1000 there: changed config.json", "step0 there: missing LICENSE"}


def test_a_mirror_may_store_the_same_bytes_as_a_large_file(tmp_path: Path):
    made = clean()
    lay(tmp_path / "one", "a/b", made)
    changed = made | {"step1000": made["step1000"] | {"config.json": b'{"model_type": "mamba"}'}}
    lay(tmp_path / "other", "a/b", changed, also_large="config.json")
    repo = Repo(id="a/b", part="model")
    with running_hub(tmp_path / "one") as one, running_hub(tmp_path / "other") as other:
        here, there = surveyed(one, repo), surveyed(other, repo)
        rows = {(each.where, each.what) for each in compare(here, there, "x") if ".gitattributes" not in each.what}
        back = {(each.where, each.what) for each in compare(there, here, "x") if ".gitattributes" not in each.what}
        assert rows == back == {("step1000", "x: changed config.json")}


def test_deep_finds_what_only_bytes_tell(hub: Served):
    revisions = {name: dict(files) for name, files in clean().items()}
    revisions["step1000"]["model.safetensors"] = tensors(w=[float("nan")] * 64)
    survey = surveyed(hub, serve(hub, "a/deep", revisions), deep=True)
    assert audit(survey).findings == ()
    assert [(each.id, each.where) for each in contents(survey, lambda _: None)] == [("not-finite", "step1000:model.safetensors")]


@pytest.mark.slow
def test_our_own_release_gives_no_error_and_its_weights_are_the_masters(hub: Served, small: Path, tmp_path: Path):
    import shutil

    from tests.unit.release.kit import go, start_git
    from yulan.release.audit.run import states_of
    from yulan.release.trust import new_key

    layout = Layout(root=tmp_path / "clone", recipe="tiny")
    shutil.copytree(small, layout.stage("bundle").data)
    start_git(layout.root)
    new_key(tmp_path / "key")
    with running_hub(tmp_path / "hub") as served:
        go(layout, served, key=tmp_path / "key")
        survey = surveyed(served, Repo(id=NAME, part="model"))
        beside = states_of(asked(served), survey.repo)
        assert beside is not None
        found = audit(survey, beside)
        assert found.findings == ()
        assert {each.id for each in found.notes} == {"distance-unchecked"}
        # Every number of every revision, folded or not, and every byte.
        whole = surveyed(served, survey.repo, deep=True)
        masters = states_of(asked(served), survey.repo, deep=True)
        assert masters is not None
        assert audit(whole, masters).findings == audit(masters).findings == ()
        assert list(contents(whole, lambda _: None)) == list(contents(masters, lambda _: None)) == []
        assert audit(beside).layouts == ("unknown", "yulan")
        # Another checkpoint's master under this label.
        names = [seen.name for seen in beside.revisions if seen.name.startswith("phase-")]
        swapped = {names[0]: names[1], names[1]: names[0]}
        by_name = {seen.name: seen for seen in beside.revisions}
        wrong = tuple(
            Seen(
                name=seen.name,
                commit=by_name[swapped.get(seen.name, seen.name)].commit,
                files=by_name[swapped.get(seen.name, seen.name)].files,
            )
            for seen in beside.revisions
        )
        crossed = Survey(repo=beside.repo, revisions=wrong, tags={}, hub=asked(served))
        assert "cast" in {each.id for each in audit(survey, crossed).findings}
        assert "label-step" in {each.id for each in audit(crossed).findings}


def test_the_command_prints_a_table_and_its_exit_code_tells(hub: Served, tmp_path: Path):
    serve(hub, "a/told", clean() | {"step3": step(2000)})
    done = CliRunner().invoke(main, ["audit", "hf://a/told", "--from", hub.url])
    assert done.exit_code == 5
    assert "equals-main" in done.output
    assert "5 revisions (transformers)" in done.output
    done = CliRunner().invoke(main, ["audit", "hf://a/clean", "--from", hub.url, "--json", "--deep"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["revisions"] == 4
    with pytest.raises(HubError, match="no such repository"):
        look(asked(hub), Repo(id="a/nobody", part="model"))


@pytest.mark.parametrize("text", ["a/b", "hf://a", "hf://a/../b", "hf://--flag/x", "hf://a/b@../c", "hf://datasets/a"])
def test_what_is_no_repository_is_refused(text: str):
    with pytest.raises(StateError, match="not an address of a repository"):
        any_repo(text)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("checkpoints.csv", b"\xff\xfe\0"),
        ("evidence.json", b"[" * 5000),
        ("trainer_state.json", b"[1, 2"),
        ("config.json", b"\xff"),
        ("model.safetensors.index.json", b'{"weight_map": 3}'),
        ("manifest.json", b'{"files": [{"path": 3}]}'),
    ],
)
def test_broken_files_of_strangers_are_findings_or_nothing_never_a_crash(hub: Served, path: str, data: bytes):
    revisions = {name: dict(files) for name, files in clean().items()}
    revisions["main"] |= {path: data, "card.json": b"{}"}
    assert isinstance(findings(hub, f"b/broken-{path.replace('.', '-')}", revisions), dict)
