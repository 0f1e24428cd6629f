from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from yulan.errors import RecipeError
from yulan.layout import shipped
from yulan.profile import Data, Slurm, load_profile
from yulan.schema import plain

ON_GPU = {"device": "cuda", "precision": "bf16", "attention": "flash", "fused": "liger"}
SLURM = Slurm(nodes=2, gpus=4, minutes=60, notice=60, partition=None, account=None)


def test_an_unknown_profile_gets_the_nearest_name():
    with pytest.raises(RecipeError, match=r"profiles: no profile named 'cpu2'\. Did you mean 'cpu-2'\?"):
        load_profile("cpu2")


def test_a_profile_of_ones_own_is_a_file(tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text()) | {"threads": 3}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    assert load_profile(str(tmp_path / "mine.yaml")).threads == 3


def test_an_unknown_key_of_a_profile_is_pointed_at(tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text()) | {"learning_rate": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(RecipeError, match="unknown key 'learning_rate'"):
        load_profile(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"attention": "flash"}, r"\$\.attention: attention `flash` runs on a GPU only\. Write sdpa"),
        ({"fused": "liger"}, r"\$\.fused: Liger's kernels run on a GPU only\. Write none"),
        (ON_GPU | {"precision": "fp32"}, r"\$\.precision: flash attention takes half precision only\. Write bf16"),
        ({"zero": 0, "precision": "bf16"}, r"\$\.zero: bf16 needs ZeRO 1, 2 or 3, which hold the fp32 weights\. Write 1"),
        ({"zero": 0, "offload": "cpu"}, r"\$\.offload: without ZeRO nothing can be offloaded\. Write none"),
        ({"zero": 3, "compile": True}, r"\$\.compile: ZeRO-3 gathers weights as modules are called, which"),
        (
            {"data": Data(runner="native", address="head:6379", partitions=1)},
            r"\$\.data\.address: only Ray has a cluster to join\. Write null, or `runner: ray`",
        ),
        ({"recompute": 1}, r"\$\.recompute: every layer keeps its activations, so none is computed again\. Write 0"),
        (
            ON_GPU | {"launcher": "slurm", "slurm": SLURM, "processes": 4},
            r"\$\.slurm\.gpus: the GPUs of all nodes are not as many as the processes\. Let nodes x gpus",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused_in_one_line(changed: dict[str, object], message: str, tmp_path: Path):
    with pytest.raises(RecipeError, match=message):
        replace(load_profile("cpu-2"), **changed).require_sound()
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw | plain(changed)))
    with pytest.raises(RecipeError, match=r"^Error: mine\.yaml: " + message) as found:
        load_profile(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(found.value)


def test_a_profile_without_one_of_its_keys_is_refused(tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text())
    for key in raw:
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({k: v for k, v in raw.items() if k != key}))
        with pytest.raises(RecipeError, match=f"'?{key}'?"):
            load_profile(str(tmp_path / "mine.yaml"))
