"""A withdrawal changes what a card says and nothing else; whoever asks for the revision is told why, and what to use."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.release.audit_kit import surveyed
from tests.unit.release.conftest import make_layout
from tests.unit.release.kit import FINAL, NAME, STABLE, go
from yulan import files
from yulan.cli import main
from yulan.errors import DataError, HubError, StateError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.audit.run import audit
from yulan.release.gate.bundle import read_csv
from yulan.release.hub import Hub
from yulan.release.names import parse, repo
from yulan.release.pull import pull
from yulan.release.trust import load_trust, new_key
from yulan.release.verify import verify_folder, verify_signature
from yulan.release.withdraw import COLUMN, Editor
from yulan.release.withdrawal import Withdrawal, as_built, banner, require_standing, standing_in

NEXT = f"hf://{NAME}@phase-02-step-000009"
TABLE = (
    "stage,phase,step,tokens,revision,digest,states,architecture,alias_of,tags\n"
    f"anneal,phase-02,3,9,{FINAL},d,s,llama,,final\nanneal,phase-02,3,9,main,d,s,llama,{FINAL},\n"
    f"stable,phase-01,2,6,{STABLE},d,s,yulanmini,,\n"
)


@pytest.fixture
def signed(tmp_path: Path, hub: Served) -> tuple[Layout, Path]:
    """A clone whose release is on the hub, signed, and the key."""
    from yulan.release.release import Half, read_release, write_release
    from yulan.release.seal import reseal_card

    layout = make_layout(tmp_path / "clone")
    bundle = layout.stage("bundle").data
    for part in ("model", "states"):
        files.write_text(bundle / part / "main" / "checkpoints.csv", TABLE)
        reseal_card(bundle / part / "main")
    files.write_text(bundle / "model" / STABLE / "README.zh.md", "# 卡片\n")
    reseal_card(bundle / "model" / STABLE)
    release = read_release(bundle)
    write_release(bundle, replace(release, data=Half(revisions=release.data.revisions, tags={"final": "main"})))
    new_key(tmp_path / "key")
    go(layout, hub, key=tmp_path / "key")
    return layout, tmp_path / "key"


def editor(hub: Served, key: Path | None) -> Editor:
    return Editor(hub=Hub(hub.url, hub.token), name=NAME, key=key, say=lambda _: None)


def fetch(hub: Served, address: str, into: Path, *, trust=None, force: bool = False, only=None):
    return pull(Hub(hub.url, None), parse(address), into, only, lambda _: None, trust, force)


def test_a_withdrawn_revision_is_refused_with_its_reason_and_replacement(
    signed: tuple[Layout, Path], hub: Served, tmp_path: Path
):
    _, key = signed
    asked = Hub(hub.url, None)
    targets = {part: repo(NAME, part) for part in ("model", "states")}
    tags = {part: asked.refs(target)[1] for part, target in targets.items()}
    trees = {part: asked.tree(target, FINAL) for part, target in targets.items()}
    edited = editor(hub, key).withdraw(FINAL, "its long context was trained on the wrong mix", NEXT)
    assert edited == [f"{NAME}-states@{FINAL}", f"{NAME}-states@main", f"{NAME}@{FINAL}", f"{NAME}@main"]
    for address in (f"hf://{NAME}@{FINAL}", f"hf://{NAME}@main", f"hf://{NAME}-states@{FINAL}"):
        with pytest.raises(StateError, match=r"was withdrawn on .*the wrong mix") as caught:
            fetch(hub, address, tmp_path / "it", trust=load_trust(key.with_name("key.pub")))
        assert f"Take {NEXT}, or add --force" in str(caught.value)
        assert not (tmp_path / "it").exists()
    # Content, tags and every other branch stay.
    for part, target in targets.items():
        after = asked.tree(target, FINAL)
        changed = {name for name in after.keys() | trees[part].keys() if after.get(name) != trees[part].get(name)}
        assert changed == {"README.md", "card.json", "card.sig", "withdrawn.json"}
        assert asked.refs(target)[1] == tags[part]
    fetch(hub, f"hf://{NAME}@{STABLE}", tmp_path / "other")


def test_a_forced_pull_verifies_and_its_card_and_table_say_withdrawn(signed: tuple[Layout, Path], hub: Served, tmp_path: Path):
    _, key = signed
    trust = load_trust(key.with_name("key.pub"))
    editor(hub, key).withdraw(FINAL, "wrong mix", None)
    done = fetch(hub, f"hf://{NAME}@main", tmp_path / "it", trust=trust, force=True)
    assert verify_signature(tmp_path / "it", verify_folder(tmp_path / "it"), trust) == done.signed
    assert "> **Withdrawn.** This revision was withdrawn on" in (tmp_path / "it" / "README.md").read_text()
    rows = {row["revision"]: row[COLUMN] for row in read_csv(tmp_path / "it" / "checkpoints.csv")}
    assert rows[STABLE] == ""
    assert "wrong mix" in rows[FINAL]
    assert "wrong mix" in rows["main"]
    with pytest.raises(StateError, match="Add --force to use it all the same"):
        require_standing(standing_in(tmp_path / "it"), tmp_path / "it")
    refused = CliRunner().invoke(main, ["continue", str(tmp_path / "it"), "--phase", "phase-02"])
    assert refused.exit_code == 6
    assert "was withdrawn on" in refused.output


def test_no_tag_commit_or_part_leads_round_a_withdrawal(signed: tuple[Layout, Path], hub: Served, tmp_path: Path):
    asked = Hub(hub.url, None)
    states, model = f"hf://{NAME}-states", f"hf://{NAME}"
    ways = [
        (f"{model}@final", None),
        (f"{model}@final", "optimizer"),
        (f"{model}@final", "data"),
        (f"{model}@{FINAL}", "card"),
        (f"{model}@{FINAL}", "optimizer"),
        (f"{states}@final", None),
        (f"{states}@{FINAL}", "weights"),
    ]
    commits = {name: asked.commit_of(parse(name).repo, parse(name).revision) for name, _ in ways}
    ways += [(f"{name.partition('@')[0]}@{commits[name]}", only) for name, only in ways if only != "weights"]
    editor(hub, signed[1]).withdraw(FINAL, "wrong mix", NEXT)
    for name, only in ways:
        with pytest.raises(StateError, match=r"was withdrawn on .*wrong mix") as caught:
            fetch(hub, name, tmp_path / "it", only=only)
        assert f"Take {NEXT}" in str(caught.value)
        assert not (tmp_path / "it").exists()
    for number, (name, only) in enumerate(ways):
        fetch(hub, name, tmp_path / str(number), only=only, force=True)
    fetch(hub, f"{model}@{STABLE}", tmp_path / "other", only="data")


def test_continue_refuses_an_address_that_was_withdrawn(
    signed: tuple[Layout, Path], hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    editor(hub, signed[1]).withdraw(FINAL, "wrong mix", NEXT)
    for name in (f"hf://{NAME}@final", f"hf://{NAME}-states@{FINAL}"):
        refused = CliRunner().invoke(main, ["continue", name, "--phase", "phase-02", "--from", hub.url])
        assert refused.exit_code == 6
        assert f"Take {NEXT}" in refused.output
    assert not list(tmp_path.glob("*-states-*"))


def test_a_withdrawal_is_made_once_and_publishing_again_does_not_undo_it(signed: tuple[Layout, Path], hub: Served):
    layout, key = signed
    assert editor(hub, key).withdraw(STABLE, "broken", None)
    assert editor(hub, key).withdraw(STABLE, "broken", None) == []
    said = Hub(hub.url, None).read(repo(NAME, "model"), STABLE, "README.zh.md")
    assert "> **已撤回。** This revision was withdrawn on" in b"".join(said).decode("utf-8")
    with pytest.raises(HubError, match="a withdrawal is not undone by publishing again"):
        go(layout, hub, key=key)


def test_an_erratum_is_added_to_the_card_and_the_revision_still_comes(signed: tuple[Layout, Path], hub: Served, tmp_path: Path):
    _, key = signed
    edit = editor(hub, key)
    assert edit.erratum(STABLE, "The card said 2 layers; it has 3.") == [f"{NAME}-states@{STABLE}", f"{NAME}@{STABLE}"]
    assert edit.erratum(STABLE, "The card said 2 layers; it has 3.") == []
    edit.erratum(STABLE, "And 4 heads.")
    fetch(hub, f"hf://{NAME}@{STABLE}", tmp_path / "it", trust=load_trust(key.with_name("key.pub")))
    text = (tmp_path / "it" / "README.md").read_text()
    assert text.count("## Errata") == 1
    assert text.index("it has 3.") < text.index("And 4 heads.")
    chinese = (tmp_path / "it" / "README.zh.md").read_text(encoding="utf-8")
    assert chinese.count("## 勘误") == 1
    assert chinese.index("it has 3.") < chinese.index("And 4 heads.")


def test_an_audit_passes_on_what_was_said_and_asks_no_proof_of_it(signed: tuple[Layout, Path], hub: Served):
    _, key = signed

    def seen() -> list[str]:
        found = audit(surveyed(hub, repo(NAME, "model")))
        told = [*found.findings, *found.notes]
        return sorted(f"{x.where} {x.what}" for x in told if x.id in {"claim", "withdrawn", "errata"} and "main" in x.where)

    assert seen() == []
    edit = editor(hub, key)
    edit.erratum("main", "The card said 2 layers; it has 3.\nAnd 4 heads.")
    edit.erratum("main", "Its context is 128.")
    edit.withdraw(FINAL, "9 of 10 books are missing", NEXT)
    withdrawn, errata = seen()
    assert errata == "main:README.md 2 corrections at its end, said and not proven"
    assert re.fullmatch(rf"main withdrawn on \d{{4}}-\d\d-\d\d: 9 of 10 books are missing; use {NEXT}", withdrawn)


def test_only_what_was_added_is_left_out_of_a_card():
    made = Withdrawal(format=1, revision="x", on="2026-01-02", reason="3 faults", replacement=None)
    card = "---\na: 1\n---\n# M\n\n4 layers.\n"
    said = (
        card.replace("# M", banner("README.md", made) + "# M")
        + "\n## Errata\n- 2026-01-03: 5 layers.\nNot 4.\n- 2026-01-04: 6.\n"
    )
    assert as_built("README.md", said, made) == (card, 2)
    other = replace(made, reason="7 faults")
    assert as_built("README.md", said, other)[0] != card, "another sentence than withdrawn.json has"
    claims = card + "\n## Errata\nIt scores 64.7.\n"
    assert as_built("README.md", claims, None) == (claims, 0)


def test_a_signed_card_is_not_edited_without_the_key(signed: tuple[Layout, Path], hub: Served):
    with pytest.raises(StateError, match="its card is signed"):
        editor(hub, None).withdraw(STABLE, "broken", None)
    with pytest.raises(StateError, match="no branch of that name"):
        editor(hub, None).erratum("phase-09-step-000009", "x")


def test_a_crafted_withdrawal_is_refused(tmp_path: Path):
    files.write_text(tmp_path / "withdrawn.json", '{"format": 1, "reason": "\\u001b[2J"}')
    with pytest.raises(DataError, match="missing key"):
        standing_in(tmp_path)


def test_the_commands_say_what_they_did(signed: tuple[Layout, Path], hub: Served, monkeypatch: pytest.MonkeyPatch):
    _, key = signed
    monkeypatch.setenv("HF_TOKEN", hub.token)
    words = ["--from", hub.url, "--key", str(key)]
    done = CliRunner().invoke(main, ["erratum", f"hf://{NAME}@{STABLE}", "--text", "x", *words])
    assert f"{NAME}@{STABLE}: 2 cards edited" in done.output
    done = CliRunner().invoke(main, ["withdraw", f"hf://{NAME}@{STABLE}", "--reason", "x", "--use", NEXT, *words])
    assert f"{NAME}@{STABLE}: withdrawn; 4 cards say so" in done.output
    done = CliRunner().invoke(main, ["withdraw", f"hf://{NAME}@{STABLE}", "--reason", "a\nb", *words])
    assert done.exit_code == 6
