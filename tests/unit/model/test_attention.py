"""Attention inside packed documents."""

import importlib.util

import pytest
import torch
from torch.nn import functional

from yulan.errors import StateError
from yulan.model.attention import Documents, attend


def pack(lengths, heads=6, kv_heads=2, width=8):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(sum(lengths), n, width, generator=generator, requires_grad=True) for n in (heads, kv_heads, kv_heads))
    return q, k, v, torch.tensor([0, *lengths]).cumsum(0).int()


def block_masked(q, k, v, lengths):
    """The same by one dense mask, keys and values repeated for their query heads."""
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = (document[:, None] == document).tril()
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = torch.einsum("tnh,snh->nts", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("nts,snh->tnh", functional.softmax(scores.masked_fill(~mask, -torch.inf), -1), v)


@pytest.mark.parametrize("lengths", [[20], [5, 5, 5, 5], [3, 9, 9, 1, 30], [1, 1, 2]])
def test_packed_attention_equals_one_dense_block_mask(lengths):
    q, k, v, cu_seqlens = pack(lengths)
    packed = attend(q, k, v, Documents.of(cu_seqlens), "sdpa")
    dense = block_masked(q, k, v, lengths)
    torch.testing.assert_close(packed, dense, atol=1e-6, rtol=0)
    weights = torch.randn(packed.shape, generator=torch.Generator().manual_seed(1))
    for mine, theirs in zip(
        torch.autograd.grad((packed * weights).sum(), (q, k, v)),
        torch.autograd.grad((dense * weights).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=5e-6, rtol=0)


def test_documents_do_not_see_each_other():
    q, k, v, cu_seqlens = pack([4, 6, 3])
    documents = Documents.of(cu_seqlens)
    before = attend(q, k, v, documents, "sdpa")
    changed = [x.detach().clone() for x in (q, k, v)]
    for x in changed:
        x[4:10] += 1
    after = attend(*changed, documents, "sdpa")
    assert torch.equal(after[:4], before[:4])
    assert torch.equal(after[10:], before[10:])
    assert not torch.allclose(after[4:10], before[4:10])


def test_neighbours_of_one_length_share_a_call_and_empty_documents_vanish():
    documents = Documents.of(torch.tensor([0, 4, 8, 8, 11, 15], dtype=torch.int32))
    assert documents.runs == ((2, 4), (1, 3), (1, 4))
    assert documents.longest == 4


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_the_flash_kernel_names_the_extra_that_brings_it():
    q, k, v, cu_seqlens = pack([4])
    with pytest.raises(StateError, match=r"needs the package flash_attn, which is not installed.*docs/guides/gpu\.md"):
        attend(q, k, v, Documents.of(cu_seqlens), "flash")
