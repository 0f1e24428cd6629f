"""Sums whose bits no number of ranks can change: gradients in one fixed tree, their norm in integers.

A step's M micro-batches are the leaves of a binary tree. A rank's neighbouring micro-batches make up whole subtrees,
at most two of each size; it sums those, gives every rank its slice of each sum, and the owner of a slice goes on in the
same tree. So the engine's own traffic suffices wherever M and the number of ranks are powers of two.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

BUCKET = 1 << 24
"""Numbers that a rank sends in one call: 64 MiB."""

CHUNK = 1 << 16
"""Numbers squared at a time, so that they stay in a core's cache."""

DIGITS = 30
"""Bits of each of the two integers that hold a square. Below 2^33 numbers their sums fit into 63 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A run of numbers in one flattened tensor."""

    tensor: int | None
    """Which tensor; None for zeros that pad a slice."""
    start: int
    length: int


def cut(line: Sequence[Piece], low: int, high: int) -> list[Piece]:
    """What lies in [low, high) where pieces stand one after the other."""
    found, at = [], 0
    for piece in line:
        start, stop = max(at, low), min(at + piece.length, high)
        if start < stop:
            found.append(Piece(tensor=piece.tensor, start=piece.start + start - at, length=stop - start))
        at += piece.length
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """The sum over the micro-batches begin ... begin + size - 1 of the grid."""

    begin: int
    size: int
    values: list[Tensor]

    def plus(self, right: "Node") -> "Node":
        """The sum of both, in this node's memory."""
        if self.values:
            torch._foreach_add_(self.values, right.values)
        return Node(begin=self.begin, size=self.size + right.size, values=self.values)


def join(nodes: list[Node], right: Node) -> None:
    """Put a node to the right of others, and as long as the last two are children of one parent, the parent in their place."""
    while nodes and nodes[-1].size == right.size and nodes[-1].begin % (2 * right.size) == 0:
        right = nodes.pop().plus(right)
    nodes.append(right)


def root(nodes: Iterable[Node]) -> list[Tensor]:
    """The sum over the whole grid. Where its size is no power of two, what is left over on the right is summed first."""
    joined: list[Node] = []
    for node in nodes:
        join(joined, node)
    while len(joined) > 1:
        right = joined.pop()
        joined[-1] = joined[-1].plus(right)
    return joined[0].values


class Reduction:
    """Gathers a step's gradients, one micro-batch after the other, and sums this rank's slice over all ranks."""

    def __init__(self, slices: Sequence[Sequence[Piece]], grid: int) -> None:
        """`slices`: for each rank, the pieces of the gradients that it owns; all of one length."""
        self.rank, self.ranks = dist.get_rank(), len(slices)
        self.size = sum(piece.length for piece in slices[0])
        self.share = grid // self.ranks
        self.nodes: list[Node] = []
        self.subtrees = [self._subtrees(rank) for rank in range(self.ranks)]
        width = max(1, BUCKET // self.ranks)
        spans = [(low, min(low + width, self.size)) for low in range(0, self.size, width)]
        self.buckets = [(low, high, [piece for line in slices for piece in cut(line, low, high)]) for low, high in spans]

    def _subtrees(self, rank: int) -> list[Node]:
        nodes: list[Node] = []
        for index in range(rank * self.share, (rank + 1) * self.share):
            join(nodes, Node(begin=index, size=1, values=[]))
        return nodes

    def add(self, gradients: list[Tensor]) -> None:
        """fp32, each with one axis, of this rank's next micro-batch. They are taken over: their memory is written to."""
        last = self.nodes[-1].begin + self.nodes[-1].size if self.nodes else self.rank * self.share
        join(self.nodes, Node(begin=last, size=1, values=gradients))

    def slice(self) -> Tensor:
        """This rank's numbers (size,), summed over the grid; ready for the next step."""
        nodes, self.nodes = self.nodes, []
        own = torch.empty(self.size, dtype=torch.float32, device=nodes[0].values[0].device)
        for low, high, pieces in self.buckets:
            received = [
                Node(begin=told.begin, size=told.size, values=[values])
                for turn in range(max(map(len, self.subtrees)))
                for told, values in self._swap(turn, nodes, pieces, high - low)
            ]
            own[low:high] = root(sorted(received, key=lambda node: node.begin))[0]
        return own

    def _swap(self, turn: int, nodes: list[Node], pieces: list[Piece], width: int) -> list[tuple[Node, Tensor]]:
        """Each rank's subtree number `turn`, and this rank's slice of its sum; a rank with fewer of them sends nothing."""
        senders = [rank for rank in range(self.ranks) if turn < len(self.subtrees[rank])]
        device = nodes[0].values[0].device
        if self.rank in senders:
            given = torch.cat([_numbers(piece, nodes[turn].values) for piece in pieces])
        else:
            given = torch.empty(0, dtype=torch.float32, device=device)
        taken = given
        if self.ranks > 1:
            taken = torch.empty(len(senders) * width, dtype=torch.float32, device=device)
            splits = [width * (rank in senders) for rank in range(self.ranks)]
            dist.all_to_all_single(taken, given, splits, [width * (self.rank in senders)] * self.ranks)
        return [(self.subtrees[rank][turn], part) for rank, part in zip(senders, taken.split(width), strict=True)]


def _numbers(piece: Piece, values: list[Tensor]) -> Tensor:
    if piece.tensor is None:
        return values[0].new_zeros(piece.length)
    return values[piece.tensor].narrow(0, piece.start, piece.length)


def norm(own: Tensor) -> float:
    """Euclidean norm of all ranks' slices (fp32, one axis) together; inf if a number is not finite.

    Squares are exact in fp64. Cut off 60 bits below the largest, they are integers, whose sum knows no order. What is
    cut off is less than 2^-28 of the norm for 2^31 numbers.
    """
    top = float(torch.linalg.vector_norm(own, math.inf))
    told = torch.tensor([not math.isfinite(top), top if math.isfinite(top) else 0.0], dtype=torch.float64, device=own.device)
    dist.all_reduce(told, op=dist.ReduceOp.MAX)
    spoilt, top = told.tolist()
    if spoilt or not top:
        return math.inf if spoilt else 0.0
    exponent = math.frexp(top)[1]
    sums = torch.zeros(2, dtype=torch.int64, device=own.device)
    for part in own.split(CHUNK):
        squares = part.double().mul_(math.ldexp(1.0, -exponent)).square_().mul_(1 << DIGITS)
        upper = squares.floor()
        sums[0] += upper.long().sum()
        sums[1] += squares.sub_(upper).mul_(1 << DIGITS).long().sum()
    dist.all_reduce(sums)
    upper_sum, lower_sum = sums.tolist()
    return math.ldexp(math.sqrt((upper_sum << DIGITS) + lower_sum), exponent - DIGITS)
