"""Import DeepSpeed and join the other ranks."""

import contextlib
import os
import sys
import types
from typing import Any

import torch
from torch.distributed import distributed_c10d

from yulan.profile import Profile
from yulan.train.checkpoint.stream import TIMEOUT
from yulan.train.device import take_device


def deepspeed() -> Any:
    """Import DeepSpeed lean and quiet; nothing is compiled."""
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")
    # Its autotuner, which we do not use, imports mlflow where that is installed: 3 of 5 seconds.
    sys.modules.setdefault("mlflow", None)  # type: ignore[arg-type]
    # It asks each optimizer whether it is Muon, whose module is compiled as it is imported: 1.4 s.
    muon = types.ModuleType("deepspeed.runtime.zero.muon.original_muon")
    vars(muon).update(MuonWithAuxAdam=type("MuonWithAuxAdam", (), {}), adam_update=None, muon_update=None)
    sys.modules.setdefault(muon.__name__, muon)
    with contextlib.redirect_stdout(sys.stderr):
        import deepspeed as library
        import deepspeed.ops

    # Otherwise compiled by g++ at the first start; killed then, it leaves a lock that the next start waits for, for ever.
    library.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # Ranks need not send their first weights around: each loads the same checkpoint. And 0.19.8 cannot send a parameter
    # without axes, as four of each layer's alphas are.
    library.DeepSpeedEngine._broadcast_model = lambda self: None
    library.zero.Init._zero_init_param = _partition
    # Asked of autograd's graph for each parameter in each backward, 1 ms for nano: every parameter of a decoder is used in each.
    sys.modules["deepspeed.runtime.zero.stage_1_and_2"].count_used_parameters_in_backward = len  # type: ignore[attr-defined]
    return library


def _partition(init: Any, parameter: Any) -> None:
    init._convert_to_deepspeed_param(parameter)
    parameter.partition()


def connect(profile: Profile) -> None:
    """Join the other ranks; torchrun's environment says where they are.

    Raises: ResourceError, StateError: the GPU or the kernels that the profile asks for are not there.
    """
    take_device(profile)
    with contextlib.redirect_stdout(sys.stderr):
        deepspeed().init_distributed("nccl" if profile.device == "cuda" else "gloo", auto_mpi_discovery=False, timeout=TIMEOUT)


def bound_waits() -> None:
    """Let DeepSpeed's own groups wait as long as ours, not for torch's 30 minutes."""
    for group in list(distributed_c10d._world.pg_map):
        distributed_c10d._set_pg_timeout(TIMEOUT, group)
