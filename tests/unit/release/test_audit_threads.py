"""Listings with the digests that public threads quote, and the labels and layouts of others."""

import pytest

from yulan.release.audit.layouts import kind, step_of
from yulan.release.audit.run import audit
from yulan.release.audit.survey import Seen, Survey
from yulan.release.hub import Remote
from yulan.release.names import Repo


def listing(**revisions: list[tuple[str, str]]) -> Survey:
    """Revisions with the digests that a public thread quotes; nothing can be read of them."""
    seen = tuple(
        Seen(
            name=name.replace("__", "-"),
            commit="0" * 40,
            files={path: Remote(size=1, sha256=sha, blob=sha) for path, sha in files},
        )
        for name, files in revisions.items()
    )
    return Survey(repo=Repo(id="x/y", part="model"), revisions=seen, tags={})


def said(survey: Survey, rule: str) -> list[str]:
    return [each.what for each in audit(survey).findings if each.id == rule]


def test_the_branches_of_pythia_2_8b_that_serve_the_last_checkpoint():
    # The digest of main, the beginning of the second blob's and the lists of steps are quoted in
    # https://github.com/EleutherAI/pythia/issues/205; digests of the other 68 branches are made up here.
    last, second = "ab496f1c3fd79e3c749a9d5414136a2c8e4224f94eecb261970315cdb0f813fe", "462f2b960062159c"
    same = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 54000, 1000)]
    same += [55000, 60000, 65000, 70000, 80000, 90000, 100000, 103000, 110000, 120000, 130000, 140000]
    other = [54000, 56000, 57000, 58000, 59000, 61000, 62000, 63000, 64000, 143000]
    unique = [n for n in range(66000, 143000, 1000) if n not in same + other]
    assert (len(same), len(other), len(unique)) == (76, 10, 68)
    digests = dict.fromkeys(same, last) | dict.fromkeys(other, second) | {n: f"unique{n}" for n in unique}
    survey = listing(main=[("model.safetensors", last)], **{f"step{n}": [("model.safetensors", d)] for n, d in digests.items()})
    assert said(survey, "equals-main") == [
        "their weights are those of main: step0, step1, step2, step4, step8, step16, … (76 in all)"
    ]
    assert said(survey, "identical-weights") == [
        "one set of weights: step54000, step56000, step57000, step58000, step59000, step61000, … (10 in all)"
    ]


def test_the_branches_of_pythia_12b_that_share_one_shard_with_the_last():
    # https://github.com/EleutherAI/pythia/issues/206 quotes the digest and the four refs; the other shards' are made up.
    first = "9d21715462588073675eca9c65ba55a47d911da460a6083938d04acd4589f542"
    steps = [49000, 50000, 51000, 57000, 58000, 59000, 143000]

    def shards(n: int) -> list[tuple[str, str]]:
        own = first if n in {50000, 58000, 143000} else f"first{n}"
        return [(f"pytorch_model-0000{k}-of-00003.bin", own if k == 1 else f"{k}of{n}") for k in (1, 2, 3)]

    survey = listing(main=shards(143000), **{f"step{n}": shards(n) for n in steps})
    assert said(survey, "shared-shard") == [
        "pytorch_model-00001-of-00003.bin is the same file in step50000, step58000, step143000"
    ]
    assert said(survey, "equals-main") == []


def test_the_three_branches_of_olmo_2_7b_with_one_set_of_weights():
    # https://github.com/allenai/OLMo/issues/915 quotes the three branches and the beginning of the first shard's digest.
    same = [("model-00001-of-00006.safetensors", "f9acbd5400251483"), ("model-00002-of-00006.safetensors", "second")]
    survey = listing(
        main=[("model-00001-of-00006.safetensors", "m")],
        stage1__step101000__tokens424B=same,
        stage1__step102000__tokens428B=[("model-00001-of-00006.safetensors", "n")],
        stage1__step175000__tokens735B=same,
        stage1__step300000__tokens1259B=same,
    )
    assert said(survey, "identical-weights") == [
        "one set of weights: stage1-step101000-tokens424B, stage1-step175000-tokens735B, stage1-step300000-tokens1259B"
    ]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("step143000", 143000),
        ("stage1-step101000-tokens424B", 101000),
        ("stage2-ingredient1-step11931-tokens100B", 11931),
        ("phase-26-4k-step-252765", 252765),
        ("global_step262772", 262772),
        ("checkpoint-500", 500),
        ("main", None),
        ("v1.0", None),
        ("footstep9", None),
    ],
)
def test_labels_of_others_are_understood(label: str, told: int | None):
    assert step_of(label) == told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["global_step5/zero/model.embed_tokens.weight/fp32.pt", "latest"], "deepspeed-universal"),
        (["global_step5/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], "deepspeed-zero"),
        (["dcp/.metadata", "dcp/__0_0.distcp"], "torch-dcp"),
        (["checkpoint/state.json", "manifest.json"], "yulan"),
        (["config.json", "model.safetensors"], "transformers"),
        (["notes.txt"], "unknown"),
    ],
)
def test_layouts_of_others_are_told_apart(names: list[str], told: str):
    assert kind(names) == told


RANK = "global_step5/zero_pp_rank_{}_mp_rank_00_optim_states.pt"


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        (
            ["global_step5/zero/a/fp32.pt", "global_step5/zero/a/exp_avg.pt", "global_step5/zero/b/fp32.pt"],
            "global_step5/zero/b/exp_avg.pt",
        ),
        (["global_step5/zero/a/fp32.pt", "global_step5/zero/b/fp32.pt"], None),
        (
            [RANK.format(n) for n in (0, 1, 3)],
            RANK.format(2),
        ),
        ([RANK.format(n) for n in (0, 1)], None),
        ([RANK.format(1)], RANK.format(0)),
    ],
)
def test_a_file_that_deepspeeds_names_promise_is_missed(names: list[str], lost: str | None):
    found = said(listing(step5=[(name, name) for name in names]), "missing-shard")
    assert found == ([f"files are not there: {lost}"] if lost else [])
