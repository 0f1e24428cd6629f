"""Laws of the tree: any leaf leads to the root, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from yulan import digest
from yulan.data.index import tree

LEAVES = st.lists(st.binary(max_size=6), min_size=1, max_size=40)


def by_the_rfc(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1: split at the largest power of two below the count."""
    if len(leaves) == 1:
        return digest.leaf(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return digest.node(by_the_rfc(leaves[:split]), by_the_rfc(leaves[split:]))


def path_of(number: int, leaves: list[bytes]) -> list[bytes]:
    every = [each for level in tree.levels([digest.leaf(leaf) for leaf in leaves]) for each in level]
    return [every[place] for place in tree.siblings(number, len(leaves))]


@given(LEAVES)
def test_the_root_is_the_one_of_the_rfc(leaves: list[bytes]):
    made = tree.levels([digest.leaf(leaf) for leaf in leaves])
    assert made[-1] == [by_the_rfc(leaves)]
    assert [len(level) for level in made] == tree.sizes(len(leaves))


@given(LEAVES, st.data())
def test_every_leaf_leads_to_the_root(leaves: list[bytes], data: st.DataObject):
    number = data.draw(st.integers(0, len(leaves) - 1))
    path = path_of(number, leaves)
    assert tree.root_of(leaves[number], number, len(leaves), path) == by_the_rfc(leaves)
    assert len(path) <= (len(leaves) - 1).bit_length()


@given(LEAVES, st.data())
def test_another_leaf_number_or_path_leads_elsewhere(leaves: list[bytes], data: st.DataObject):
    number = data.draw(st.integers(0, len(leaves) - 1))
    path, root = path_of(number, leaves), by_the_rfc(leaves)
    assert tree.root_of(leaves[number] + b"x", number, len(leaves), path) != root
    assert tree.root_of(leaves[number], number, len(leaves), [*path, b"\0" * 32]) is None
    if path:
        assert tree.root_of(leaves[number], number, len(leaves), path[:-1]) is None
        spoilt = data.draw(st.integers(0, len(path) - 1))
        other = [bytes(32) if place == spoilt else each for place, each in enumerate(path)]
        assert tree.root_of(leaves[number], number, len(leaves), other) != root


def test_a_node_cannot_pass_for_a_leaf():
    left, right = digest.leaf(b"a"), digest.leaf(b"b")
    assert digest.leaf(left + right) != digest.node(left, right)


def test_the_roots_of_certificate_transparencys_own_test_data():
    leaves = [b"", b"\0", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", bytes(range(0x60, 0x70))]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in roots.items():
        assert tree.levels([digest.leaf(each) for each in leaves[:count]])[-1][0].hex() == root
