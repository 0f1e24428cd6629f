"""DeepSpeed's engine: build it, feed it, step it, and reach its fp32 partitions.

The partitions are private in DeepSpeed, hence the exact pin 0.19.8. Reading and writing goes through `fragment`: this
rank's contiguous piece of a flattened tensor, under ZeRO 0, 1, 2 and 3 alike, so no checkpoint knows a layout.
"""

import contextlib
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from yulan.data.batch import Micro
from yulan.model.decoder import Decoder
from yulan.model.groups import groups_of
from yulan.model.kernels import choose
from yulan.model.loss import Loss
from yulan.model.shape import Parameter, parameters
from yulan.profile import Profile
from yulan.recipe import Phase, Recipe
from yulan.train import reduce
from yulan.train.backend import bound_waits, deepspeed
from yulan.train.checkpoint.read import Checkpoint
from yulan.train.checkpoint.stream import KINDS
from yulan.train.gate import Gate
from yulan.train.reduce import Piece, Reduction, cut

LARGEST_BUCKET = 500_000_000
"""Numbers that ranks exchange in one call."""


class Engine:
    """A decoder with AdamW on this rank's part of it."""

    def __init__(self, recipe: Recipe, phase: Phase, profile: Profile) -> None:
        self.recipe, self.phase, self.profile = recipe, phase, profile
        self.parameters: tuple[Parameter, ...] = parameters(recipe.model)
        decoder = Decoder(recipe.model, choose(profile.fused), profile.recompute)
        if profile.compile:
            decoder.compile_layers()
        self.tensors = dict(decoder.named_parameters())
        self.sizes = [tensor.numel() for tensor in self.tensors.values()]
        optimizer = recipe.optimizer
        # One pass over the numbers, without copies of them; of torch's own, so nothing is compiled for the host either.
        self.fused = profile.device == "cuda" or profile.offload == "cpu"
        self.adamw = torch.optim.AdamW(
            self._groups(), lr=0.0, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps, fused=self.fused or None
        )
        with contextlib.redirect_stdout(sys.stderr):
            self.engine, *_ = deepspeed().initialize(model=decoder, optimizer=self.adamw, config=self._config())
        bound_waits()
        self.zero = self.engine.optimizer
        self.gate = Gate(self.zero, profile.zero)
        self.device = self.engine.device
        self._waiting = False
        self.reduction: Reduction | None = None
        if profile.reduction == "exact":
            # Gradients stay on the parameters, whole and of one micro-batch.
            self.engine.enable_backward_allreduce = False
            if profile.zero:
                self.zero._coalesce_grad_reduction = True
                self.zero.use_grad_accum_attribute = False
            self.reduction = Reduction(self._slices(), phase.grid)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters that share a learning rate and a weight decay."""
        return [
            {
                "params": [self.tensors[p.name] for p in group.parameters],
                "lr_multiplier": group.multiplier,
                "weight_decay": group.weight_decay,
            }
            for group in groups_of(self.recipe.model, self.recipe.optimizer)
        ]

    def _config(self) -> dict[str, Any]:
        bucket = min(LARGEST_BUCKET, sum(p.size for p in self.parameters))
        # DeepSpeed allocates a bucket anew each step; its default of 2 GB costs a small model half of its time.
        zero: dict[str, Any] = {"stage": self.profile.zero, "reduce_bucket_size": bucket, "allgather_bucket_size": bucket}
        if self.profile.offload == "cpu":
            zero["offload_optimizer"] = {"device": "cpu", "pin_memory": self.profile.device == "cuda"}
        return {
            "train_batch_size": self.phase.batch,
            "train_micro_batch_size_per_gpu": self.phase.batch // self.phase.grid,
            "gradient_accumulation_steps": self.phase.grid // self.profile.processes,
            "gradient_clipping": self.recipe.optimizer.clip if self.profile.zero and self.profile.reduction == "engine" else 0.0,
            "zero_optimization": zero,
            "zero_allow_untested_optimizer": True,
            # Its own for the host is compiled for 71 s; torch's fused one is as much a single pass.
            "zero_force_ds_cpu_optimizer": False,
            "bf16": {"enabled": self.profile.precision == "bf16", "check_grad_overflow": True},
            # Hundreds of micro-batches summed in bf16 would lose the last ones. ZeRO-1 can it only with another optimizer.
            "data_types": {"grad_accum_dtype": "fp32"} if self.profile.zero > 1 else {},
            "steps_per_print": None,
        }

    def backward(self, micro: Micro, scale: float) -> Loss:
        """Add the gradients of one micro-batch, its summed loss times `scale`; returns the sums, on the device."""
        if self._waiting and self.reduction is None:
            # Counts the micro-batch before; the step's last one is counted by `step`.
            self.engine.step()
        self._waiting = True
        loss: Loss = self.engine(
            torch.from_numpy(micro.inputs.reshape(-1)).to(self.device),
            torch.from_numpy(micro.positions.reshape(-1)).to(self.device),
            torch.from_numpy(micro.cu_seqlens),
            self.phase.rope_theta,
            self.profile.attention,
            torch.from_numpy(micro.targets.reshape(-1)).to(self.device),
            self.recipe.optimizer.z_loss,
        )
        if self.reduction is None:
            # The engine averages over ranks; the loss is a mean over the whole step's targets.
            scale *= self.profile.processes
        self.engine.backward(loss.total * scale, scale_wrt_gas=False)
        if self.reduction is not None:
            self.reduction.add([tensor.grad.reshape(-1).float() for tensor in self.tensors.values()])
            for tensor in self.tensors.values():
                tensor.grad = None
        return loss

    def step(self, lr: float, accept: Callable[[float], bool] = math.isfinite) -> float:
        """Clip and update after the step's last micro-batch; a gradient whose norm is not accepted updates nothing.

        `accept` answers alike on every rank, and no to a norm that is not finite.
        Returns: the gradient norm before clipping, or inf or NaN.
        """
        for group in self.adamw.param_groups:
            group["lr"] = lr * group["lr_multiplier"]
        if self.reduction is not None:
            return self._exact_step(self.reduction, accept)
        norm: float | None = None
        if self.profile.zero == 0:
            norm = float(torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.recipe.optimizer.clip))
            if not accept(norm):
                for tensor in self.tensors.values():
                    tensor.grad = None
        self.gate.open(accept)
        self.engine.step()
        self._waiting = False
        norm = self.gate.refused if norm is None else norm
        return float(self.engine.get_global_grad_norm()) if norm is None else norm

    def _exact_step(self, reduction: Reduction, accept: Callable[[float], bool]) -> float:
        """The same without the engine: sum, clip, update and give out, alike under every stage and number of ranks."""
        own = reduction.slice()
        norm = reduce.norm(own)
        if not accept(norm):
            return norm
        # The engine's own clipping.
        own.mul_(1.0 / max(1.0, (norm + 1e-6) / self.recipe.optimizer.clip))
        if self.profile.zero == 3:
            self.zero._partition_all_parameters()
            self.zero._set_fp32_optimizer_param_groups()
        partitions = self._partitions()
        for partition, grad in zip(partitions, self._spread(own), strict=True):
            partition.grad = grad.to(partition.device)
        self.adamw.step()
        for partition in partitions:
            partition.grad = None
        if self.profile.zero == 3:
            self.zero._clear_fp32_optimizer_param_groups()
        self._refresh()
        return norm

    def _slices(self) -> list[list[Piece]]:
        """What each rank owns of the flattened gradients, in the order of its partitions and padded as they are."""
        ranks, zero = self.profile.processes, self.profile.zero
        places = {id(tensor): place for place, tensor in enumerate(self.tensors.values())}
        # Of what is divided into one part a rank: places of the tensors in it, and the length of a part.
        divided: list[tuple[list[int], int]]
        if zero == 3:
            own = [tensor for group in self.zero.fp16_groups for tensor in group]
            divided = [([places[id(tensor)]], tensor.partition_numel()) for tensor in own]
        elif zero:
            groups = zip(self.zero.round_robin_bit16_groups, self.zero.partition_size, strict=True)
            divided = [([places[id(tensor)] for tensor in group], part) for group, part in groups]
        else:
            divided = [(list(places.values()), -(-sum(self.sizes) // ranks))]
        slices: list[list[Piece]] = [[] for _ in range(ranks)]
        for tensors, part in divided:
            line = [Piece(tensor=place, start=0, length=self.sizes[place]) for place in tensors]
            line.append(Piece(tensor=None, start=0, length=part * ranks - sum(piece.length for piece in line)))
            for rank, pieces in enumerate(slices):
                pieces += cut(line, rank * part, (rank + 1) * part)
        return slices

    def _spread(self, own: Tensor) -> list[Tensor]:
        """This rank's slice as gradients of its partitions."""
        if self.profile.zero:
            return list(own.split([partition.numel() for partition in self._partitions()]))
        # Each rank updates everything.
        whole = own.new_empty(self.profile.processes * len(own))
        dist.all_gather(list(whole.split(len(own))), own)
        parts = whole[: sum(self.sizes)].split(self.sizes)
        return [part.view_as(tensor) for part, tensor in zip(parts, self.tensors.values(), strict=True)]

    def fragment(self, name: str, kind: str) -> tuple[int, Tensor] | None:
        """This rank's piece of a tensor: where it starts in the flattened tensor, and a view of its fp32 numbers."""
        tensor = self.tensors[name]
        if self.profile.zero == 0:
            return (0, self._state(tensor, kind).detach().view(-1)) if self.engine.global_rank == 0 else None
        if self.profile.zero == 3:
            group, offset, length = self.zero.grad_position[self.zero.get_param_id(tensor)]
            begin = length * self.engine.global_rank
            # The last ranks' pieces are padded to equal length.
            length = max(0, min(length, tensor.ds_numel - begin))
            flat = self.zero.fp32_partitioned_groups_flat[group]
            return begin, self._state(flat, kind).detach().narrow(0, offset, length)
        if (mapping := tensor._hp_mapping) is None:
            return None
        flat = self.zero.single_partition_of_fp32_groups[mapping.param_group_index]
        address = mapping.hp_fragment_address
        return mapping.lp_fragment_address.start, self._state(flat, kind).detach().narrow(0, address.start, address.numel)

    def _state(self, tensor: Tensor, kind: str) -> Tensor:
        """A partition itself, or its moment of that kind."""
        if kind == KINDS[0]:
            return tensor
        found: Tensor = self.adamw.state[tensor][kind]
        return found

    def _partitions(self) -> list[Tensor]:
        if self.profile.zero == 0:
            return list(self.tensors.values())
        flats = self.zero.fp32_partitioned_groups_flat if self.profile.zero == 3 else self.zero.single_partition_of_fp32_groups
        return list(flats)

    @torch.no_grad()
    def load(self, checkpoint: Checkpoint, updates: int) -> None:
        """Take over weights and moments (zero where there are none) bit for bit, after so many updates."""
        for flat in self._partitions():
            # AdamW makes its state at the first step; the same, made now, so that moments have a place.
            step = torch.tensor(float(updates), device=flat.device if self.fused else None)
            self.adamw.state[flat] = {"step": step, "exp_avg": torch.zeros_like(flat), "exp_avg_sq": torch.zeros_like(flat)}
        for kind in KINDS if checkpoint.has_moments else KINDS[:1]:
            for p in self.parameters:
                if self.profile.zero == 0:
                    self._state(self.tensors[p.name], kind).copy_(checkpoint.tensor(p.name, kind))
                elif (piece := self.fragment(p.name, kind)) is not None:
                    begin, view = piece
                    view.copy_(checkpoint.tensor(p.name, kind).view(-1)[begin : begin + len(view)])
        self._refresh()

    def _refresh(self) -> None:
        """Bring the weights that forward uses in line with the fp32 partitions."""
        if self.profile.zero == 3:
            for group in range(len(self.zero.fp32_partitioned_groups_flat)):
                self.zero._reassign_or_swap_out_partitioned_parameters(group)
            # Small parameters stay whole on every rank between steps; those copies are stale now.
            persistent = self.zero.persistent_parameters
            if persistent:
                persistent[0].partition(persistent)
                persistent[0].all_gather(persistent)
        elif self.profile.zero:
            self.zero.update_lp_params()
