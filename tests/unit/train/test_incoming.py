"""DeepSpeed's own checkpoints and their universal form become ours bit for bit, and nothing in them is ever run."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.unit.train.conftest import ROOT, World, small_recipe
from yulan import digest, manifest
from yulan.cli import main
from yulan.errors import DataError, IntegrityError, RecipeError, StateError
from yulan.layout import MANIFEST
from yulan.model.shape import parameters
from yulan.train.checkpoint.incoming import MODEL_STATES, find, take_in
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.standing import standing
from yulan.train.checkpoint.state import NOTHING, read_state, read_tensors
from yulan.train.checkpoint.unpickle import read_torch
from yulan.train.launch.job import CHECKPOINTS, JOB
from yulan.train.phase import train_phase
from yulan.train.schedule import learning_rate

RECIPE = small_recipe()
CONVERT = """
import sys
from deepspeed.checkpoint import ds_to_universal
for stage in sys.argv[2:]:
    folders = ["--input_folder", f"{sys.argv[1]}/zero{stage}/global_step4"]
    folders += ["--output_folder", f"{sys.argv[1]}/universal{stage}/global_step4"]
    sys.argv[1:], kept = [*folders, "--num_extract_workers=1", "--num_merge_workers=1"], sys.argv[1:]
    ds_to_universal.main(ds_to_universal.parse_arguments())
    sys.argv[1:] = kept
"""


def run(*words: object) -> None:
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *map(str, words)], env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def theirs(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ours`, four steps; `zero1` and `zero2`, the same state as DeepSpeed saves it on two ranks; both as `universal`."""
    folder = tmp_path_factory.mktemp("theirs")
    train_phase(world.plan(4), folder / "run")
    (folder / "run" / CHECKPOINTS / "step-000004").rename(folder / "ours")
    job = json.loads((folder / "run" / JOB).read_text())
    (folder / "run" / JOB).write_text(json.dumps(job | {"start": str(folder / "ours")}))
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    run(*launch, Path(__file__).with_name("native.py"), folder / "run" / JOB, folder, "1,2,2-bf16")
    run("-c", CONVERT, folder, 1, 2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero1", "zero2", "zero2-bf16", "universal1", "universal2"])
def test_a_deepspeed_checkpoint_becomes_ours_bit_for_bit(theirs: Path, tmp_path: Path, name: str):
    found = find(theirs / name)
    state = standing(RECIPE, "phase-01", found.global_step, found.adam_step, at_end=False)
    take_in(found, state, RECIPE.model, tmp_path / "in")
    require_whole(tmp_path / "in")
    assert read_tensors(tmp_path / "in") == read_tensors(theirs / "ours")
    ours, taken = read_state(theirs / "ours"), read_state(tmp_path / "in")
    unknown = {"trajectory": "CLOSE", "determinism": None, "chain": taken.chain, "rng": taken.rng, "watched": NOTHING}
    assert taken == replace(ours, **unknown)
    made = manifest.read(tmp_path / "in" / MANIFEST)
    assert made.summary["imported"] == {"layout": name[:-1] if "universal" in name else "zero", "global_step": 4}
    assert list(made.inputs) == [made.summary["imported"]["layout"]]


@pytest.mark.slow
def test_training_on_from_an_import_is_training_on_from_ours_bit_for_bit(world: World, theirs: Path, tmp_path: Path):
    found = find(theirs / "universal2")
    take_in(found, standing(RECIPE, "phase-01", 4, found.adam_step, at_end=False), RECIPE.model, tmp_path / "in")
    ends = []
    for name, parent in (("ours", theirs / "ours"), ("theirs", tmp_path / "in")):
        outcome = train_phase(world.plan(6, parent=parent), tmp_path / name)
        ends.append((outcome.state.trajectory, outcome.state.cursor, read_tensors(outcome.kept[-1])))
    assert [trajectory for trajectory, *_ in ends] == ["EXACT", "CLOSE"]
    assert ends[0][1:] == ends[1][1:]


@pytest.mark.slow
def test_a_rank_that_is_missing_is_noticed(theirs: Path, tmp_path: Path):
    folder = shutil.copytree(theirs / "zero1" / "global_step4", tmp_path / "global_step4")
    (folder / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink()
    with pytest.raises(StateError, match="2 ranks saved it and 1 files lie here"):
        find(tmp_path)
    (folder / "zero_pp_rank_0_mp_rank_00_optim_states.pt").unlink()
    with pytest.raises(StateError, match="holds no optimizer states of rank 0"):
        find(tmp_path)


def universal(folder: Path, **changed: object) -> Path:
    """The universal layout of made-up numbers, as YuLan-Mini published it: without step.pt, with published names."""
    place = folder / "global_step20"
    draw = torch.Generator().manual_seed(3)
    for p in parameters(RECIPE.model):
        (place / "zero" / p.name).mkdir(parents=True)
        for kind in ("fp32", "exp_avg", "exp_avg_sq"):
            value = torch.randn(p.shape, generator=draw).abs()
            torch.save({"param": value}, place / "zero" / p.name / f"{kind}.pt")
    torch.save({"module": {}, "global_steps": 20, "dp_world_size": 48} | changed, place / MODEL_STATES)
    return place


def import_(folder: Path, into: Path, step: int = 20) -> None:
    found = find(folder)
    take_in(found, standing(RECIPE, "phase-01", step, found.adam_step, at_end=False), RECIPE.model, into)


def test_the_published_layout_is_read_without_steps_of_its_own(tmp_path: Path):
    place = universal(tmp_path / "hub")
    import_(tmp_path / "hub", tmp_path / "in")
    require_whole(tmp_path / "in")
    assert read_state(tmp_path / "in").adam_step == 20
    stored = torch.load(place / "zero" / "model.norm.weight" / "exp_avg.pt")["param"]
    rows = {(row.set, row.name): row.sha256 for row in read_tensors(tmp_path / "in").tensors}
    assert rows["exp_avg", "model.norm.weight"] == digest.of_bytes(stored.numpy().tobytes())


def test_a_fused_adam_counts_its_steps_in_its_groups(tmp_path: Path):
    place = universal(tmp_path / "hub")
    torch.save({"param_groups": [{"step": 17}]}, place / "zero" / "optimizer_state.pt")
    assert find(tmp_path / "hub").adam_step == 17


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def named_while_unpickling(path: Path) -> bytes:
    """A pickle that puts the name of its function together only as it runs (STACK_GLOBAL)."""
    return pickle.dumps(Canary(path), protocol=4)


@pytest.mark.parametrize("place", [MODEL_STATES, "zero/model.norm.weight/fp32.pt", "zero/lm_head_alpha/step.pt"])
@pytest.mark.parametrize("shape", ["zip", "bare pickle", "zip of protocol 4"])
def test_a_pickle_that_would_run_code_is_refused_and_did_not_run(tmp_path: Path, place: str, shape: str):
    canary, path = tmp_path / "canary", universal(tmp_path / "hub") / place
    if place.endswith("step.pt"):
        # The first name is asked for its step.
        first = sorted(each.name for each in path.parents[1].iterdir())[0]
        path = path.parents[1] / first / "step.pt"
    if shape == "zip":
        torch.save({"param": Canary(canary), "global_steps": 20}, path)
    elif shape == "bare pickle":
        path.write_bytes(named_while_unpickling(canary))
    else:
        torch.save({}, path)
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                archive.writestr(name, named_while_unpickling(canary) if name.endswith("data.pkl") else data)
    with pytest.raises(IntegrityError, match=r"would run code when it is opened|is not a torch file") as raised:
        import_(tmp_path / "hub", tmp_path / "in")
    assert not canary.exists(), "it ran"
    assert not (tmp_path / "in").exists()
    assert raised.value.exit_code == 5
    if shape == "zip":
        assert raised.value.evidence == ("names posix.mkdir",)
        torch.load(path, weights_only=False)
        assert canary.exists(), "the canary sings where a pickle is run"


def test_a_class_of_deepspeed_that_is_not_on_the_list_is_refused(tmp_path: Path):
    place = universal(tmp_path / "hub") / MODEL_STATES
    foreign = type("ThreadPool", (), {"__module__": "deepspeed.utils", "__reduce__": lambda self: (print, ("sung",))})
    torch.save({"global_steps": foreign()}, place)
    with pytest.raises(IntegrityError, match="would run code when it is opened"):
        find(tmp_path / "hub")


def test_a_zip_that_unfolds_is_refused(tmp_path: Path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (100 << 20))
    with pytest.raises(IntegrityError, match="is not packed as torch packs it"):
        read_torch(path)


def test_a_truncated_file_is_refused(tmp_path: Path):
    place = universal(tmp_path / "hub") / "zero" / "model.norm.weight" / "fp32.pt"
    place.write_bytes(place.read_bytes()[:-30])
    with pytest.raises(IntegrityError, match="is not a torch file"):
        import_(tmp_path / "hub", tmp_path / "in")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(3), r"weights of model.norm.weight is \[3\], not \[32\]"),
        (torch.ones(32, dtype=torch.bfloat16), "is not stored as whole fp32 numbers"),
        (torch.ones(1).expand(32), "is not stored as whole fp32 numbers"),
        (torch.full((32,), torch.nan), "weights of model.norm.weight holds NaN or Inf"),
        ("weights", "is str, not"),
    ],
)
def test_a_tensor_that_is_not_what_it_should_be_is_named(tmp_path: Path, value: object, message: str):
    place = universal(tmp_path / "hub")
    torch.save({"param": value}, place / "zero" / "model.norm.weight" / "fp32.pt")
    with pytest.raises(IntegrityError, match=message):
        import_(tmp_path / "hub", tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_a_model_of_other_names_is_refused_by_name(tmp_path: Path):
    place = universal(tmp_path / "hub") / "zero"
    (place / "model.norm.weight").rename(place / "model.norm.gamma")
    with pytest.raises(IntegrityError, match="its tensors are not those of the recipe") as raised:
        import_(tmp_path / "hub", tmp_path / "in")
    assert raised.value.evidence == ("missing  model.norm.weight", "unknown  model.norm.gamma")


def test_a_folder_that_is_no_checkpoint_of_one_model_rank_is_refused(tmp_path: Path):
    with pytest.raises(StateError, match="0 DeepSpeed checkpoints of one model rank lie here"):
        find(tmp_path)
    shutil.copytree(universal(tmp_path / "hub"), tmp_path / "hub" / "global_step30")
    with pytest.raises(StateError, match="2 DeepSpeed checkpoints") as raised:
        find(tmp_path / "hub")
    assert raised.value.evidence == ("global_step20", "global_step30")


def test_files_that_tell_no_step_or_hold_no_zero_states_are_refused(tmp_path: Path):
    universal(tmp_path / "hub", global_steps="many")
    with pytest.raises(DataError, match="tells no global_steps"):
        find(tmp_path / "hub")
    (tmp_path / "zero3").mkdir()
    torch.save({"optimizer_state_dict": {}}, tmp_path / "zero3" / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    torch.save({"global_steps": 4}, tmp_path / "zero3" / MODEL_STATES)
    with pytest.raises(IntegrityError, match="holds no ZeRO-1 or ZeRO-2 states"):
        find(tmp_path / "zero3")
    (tmp_path / "zero4").mkdir()
    states = {"state": 3, "param_groups": []}
    told = {"single_partition_of_fp32_groups": [1], "base_optimizer_state": states, "param_slice_mappings": [{"a": 2}]}
    torch.save({"optimizer_state_dict": told}, tmp_path / "zero4" / "zero_pp_rank_0_mp_rank_00_optim_states.pt")
    torch.save({"global_steps": 4}, tmp_path / "zero4" / MODEL_STATES)
    with pytest.raises(IntegrityError, match="is not what DeepSpeed saves"):
        find(tmp_path / "zero4")
    with pytest.raises(StateError, match="no such file"):
        read_torch(tmp_path / "nothing.pt")


def test_a_step_stands_in_its_phase_or_at_its_end():
    state = standing(RECIPE, "phase-02", 50, 49, at_end=False)
    assert (state.phase_step, state.cursor.windows, state.tokens) == (2, 16, 50 * 256)
    assert (state.adam_step, state.lr) == (49, learning_rate(50, RECIPE.schedule, None))
    end = standing(RECIPE, "phase-02", 262_772, 262_772, at_end=True)
    assert (end.global_step, end.phase_step, end.adam_step) == (96, 48, 262_772)
    with pytest.raises(RecipeError, match="step 262,772 does not lie in phase-02, steps 49 to 96"):
        standing(RECIPE, "phase-02", 262_772, 262_772, at_end=False)


def test_the_command_says_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("yulan.recipe.load_recipe", lambda root, name: type("Book", (), {"recipe": RECIPE}))
    universal(tmp_path / "hub")
    words = ["checkpoint", "import", str(tmp_path / "hub"), "--into", str(tmp_path / "in"), "--phase", "phase-01"]
    done = CliRunner().invoke(main, [*words, "--recipe", "nano"])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("in: step 20 of phase-01, from universal files of step 20\n")
    assert CliRunner().invoke(main, [*words, "--recipe", "nano"]).exit_code == 6, "nothing is written over"
