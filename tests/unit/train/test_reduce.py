"""Sums that do not know how many ranks there were."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from yulan.train import reduce
from yulan.train.reduce import Node, Piece, Reduction, cut, join, norm, root


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    # A test that trained in this process leaves its group of one rank behind.
    if dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def wild(*shape: int) -> Tensor:
    """Numbers of very different sizes, whose sums depend on the order."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=draw) * 10.0 ** torch.empty(*shape).uniform_(-6, 3, generator=draw)


def tree_sum(values: Sequence[Tensor]) -> Tensor:
    """The definition: the left child is the largest whole power of two."""
    if len(values) == 1:
        return values[0]
    left = 1 << (len(values) - 1).bit_length() - 1
    return tree_sum(values[:left]) + tree_sum(values[left:])


def by_ranks(leaves: Tensor, ranks: int) -> tuple[Tensor, int]:
    """Each rank sums what it can of its neighbours; returns the sum and the largest number of parts a rank gives away."""
    share, every, most = len(leaves) // ranks, [], 0
    for rank in range(ranks):
        nodes: list[Node] = []
        for index in range(rank * share, (rank + 1) * share):
            join(nodes, Node(begin=index, size=1, values=[leaves[index].clone()]))
        every += nodes
        most = max(most, len(nodes))
    return root(every)[0], most


@pytest.mark.parametrize("grid", [1, 2, 3, 4, 6, 8, 12, 15, 16, 36])
def test_every_number_of_ranks_that_divides_the_grid_gives_the_same_bits(grid: int):
    leaves = wild(grid, 999)
    sums = [by_ranks(leaves, ranks)[0] for ranks in range(1, grid + 1) if grid % ranks == 0]
    assert all(torch.equal(each, tree_sum(leaves)) for each in sums)
    assert torch.allclose(sums[0].double(), leaves.double().sum(0), rtol=1e-4, atol=1e-3)
    if grid > 3:
        one_after_another = leaves[0].clone()
        for leaf in leaves[1:]:
            one_after_another += leaf
        assert not torch.equal(one_after_another, sums[0]), "the order matters"


def test_a_rank_of_a_power_of_two_gives_away_one_sum():
    assert [by_ranks(wild(64, 3), ranks)[1] for ranks in (1, 2, 4, 64)] == [1, 1, 1, 1]
    assert by_ranks(wild(60, 3), 4)[1] == 4


def test_pieces_cut_anywhere_make_up_the_whole():
    line = [Piece(tensor=0, start=0, length=5), Piece(tensor=1, start=2, length=4), Piece(tensor=None, start=0, length=3)]
    numbers = [(piece.tensor, piece.start + at) for piece in line for at in range(piece.length)]
    for low in range(13):
        for high in range(low, 13):
            found = [(piece.tensor, piece.start + at) for piece in cut(line, low, high) for at in range(piece.length)]
            assert [tensor for tensor, _ in found] == [tensor for tensor, _ in numbers[low:high]]
            assert [each for each in found if each[0] is not None] == [e for e in numbers[low:high] if e[0] is not None]


@pytest.mark.parametrize("bucket", [1, 7, 1 << 20])
def test_a_slice_does_not_know_its_buckets(monkeypatch: pytest.MonkeyPatch, bucket: int):
    monkeypatch.setattr(reduce, "BUCKET", bucket)
    leaves = wild(6, 20)
    reduction = Reduction([[Piece(tensor=1, start=0, length=8), Piece(tensor=0, start=0, length=12)]], 6)
    padded = Reduction([[Piece(tensor=0, start=3, length=9), Piece(tensor=None, start=0, length=3)]], 6)
    for again in range(2):
        for each in (reduction, padded):
            for leaf in leaves:
                each.add([leaf[:12].clone(), leaf[12:].clone()])
        whole = by_ranks(leaves, 1)[0]
        assert torch.equal(reduction.slice(), torch.cat([whole[12:], whole[:12]])), again
        assert torch.equal(padded.slice(), torch.cat([whole[3:12], torch.zeros(3)])), again


def test_a_norm_knows_no_order():
    values = wild(200_003)
    told = norm(values)
    assert told == pytest.approx(math.sqrt(math.fsum(x * x for x in values.tolist())), rel=2**-28)
    for seed in range(5):
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
        assert norm(values[order]) == told
    assert norm(torch.cat([values, torch.zeros(999)])) == told
    assert norm(values[values.abs() < values.abs().max()]) < told


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-20, 1.0, 1e38])
def test_a_norm_is_right_at_every_size(size: float):
    value = torch.tensor([size, -size], dtype=torch.float32)
    assert norm(value) == pytest.approx(math.sqrt(2) * float(value[0]), rel=1e-12)


def test_a_norm_of_nothing_is_zero_and_one_with_a_nan_is_infinite():
    assert norm(torch.zeros(3)) == 0.0
    assert norm(torch.tensor([1.0, math.nan, 2.0])) == math.inf
    assert norm(torch.tensor([1.0, -math.inf])) == math.inf


def test_adamw_updates_pieces_as_it_does_the_whole():
    """What makes a slice's length and place harmless: no vectorised loop rounds its end otherwise."""
    weights, gradients = wild(3, 2_011)[0], wild(5, 2_011)

    def updated(bounds: list[int]) -> list[Tensor]:
        parts = [torch.nn.Parameter(part.clone()) for part in weights.tensor_split(bounds)]
        adamw = torch.optim.AdamW(parts, 0.013, (0.9, 0.95), 1e-15, 0.1)
        for gradient in gradients:
            for part, own in zip(parts, gradient.tensor_split(bounds), strict=True):
                part.grad = own * 0.37
            adamw.step()
        moments = [torch.cat([adamw.state[part][kind] for part in parts]) for kind in ("exp_avg", "exp_avg_sq")]
        return [torch.cat([part.detach() for part in parts]), *moments]

    whole = updated([])
    for bounds in ([1, 2, 3], [7, 1_007], list(range(3, 2_011, 61))):
        assert all(map(torch.equal, updated(bounds), whole))
