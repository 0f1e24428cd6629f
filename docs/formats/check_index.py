"""Check what `yulan data seen --proof PROOF` wrote: `python check_index.py PROOF [DIGEST]`, with the standard library alone.

DIGEST is the one that you trust: of the data repository in release.json, or of artifacts/<recipe>/index/manifest.json.
"""

import hashlib
import json
import sys


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def require(fact, what):
    if not fact:
        raise ValueError(what)


def root(leaf, count):
    """Follow a leaf's path (RFC 9162, 2.1.3): a hash stands left or right of the one found by the number's last bit."""
    number, path = leaf["number"], [bytes.fromhex(each) for each in leaf["path"]]
    found = hashlib.sha256(b"\0" + leaf["text"].encode()).digest()
    while count > 1:
        if number ^ 1 < count:  # the last of an odd level has no sibling
            beside = path.pop(0)
            found = hashlib.sha256(b"\1" + (beside + found if number & 1 else found + beside)).digest()
        number, count = number >> 1, (count + 1) // 2
    require(not path, "a path is too long")
    return found.hex()


def check(proof, trusted=None):
    """What the proof shows, in a sentence. Raises: ValueError, KeyError, TypeError or IndexError: it shows nothing."""
    manifest, index, leaves, asked = proof["manifest"], json.loads(proof["index"]), proof["leaves"], proof["asked"]
    digest, count = hashlib.sha256(canonical(manifest)).hexdigest(), index["documents"]
    require(trusted in (None, digest), f"the manifest's digest is {digest}, not the trusted one")
    told = [file["sha256"] for file in manifest["files"] if file["path"] in ("index.json", "index/index.json")]
    require(told == [hashlib.sha256(proof["index"].encode()).hexdigest()], "index.json is not the manifest's")
    require(all(0 <= leaf["number"] < count and root(leaf, count) == index["root"] for leaf in leaves), "no way to the root")
    contents = [json.loads(leaf["text"]) for leaf in leaves]
    where = f"the published index of {count:,} documents, root {index['root']}, manifest {digest}"
    if proof["found"]:
        (found,) = contents
        names = {found["id"], *found["twins"], *(copy["text"] for copy in found["copies"])}
        require(asked in names, "the leaf is of another document")
        places = [f"  {at['phase']} step {at['step']} row {at['row']}" for copy in found["copies"] for at in copy["seen"]]
        return "\n".join([f"{found['id']} was trained on at", *places, f"by {where}"])
    numbers, ids = [leaf["number"] for leaf in leaves], [each["id"] for each in contents]
    edge = (numbers == [0] and asked < ids[0]) or (numbers == [count - 1] and ids[0] < asked)
    between = len(ids) == 2 and numbers[1] == numbers[0] + 1 and ids[0] < asked < ids[1]
    require(edge or between, "the leaves are not the neighbours of what was asked")
    return f"{asked} is not in {where}"


if __name__ == "__main__":
    try:
        print(check(json.load(open(sys.argv[1], encoding="utf-8")), *sys.argv[2:]))  # noqa: SIM115
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        sys.exit(f"not shown: {error}. Call it as: python check_index.py PROOF [DIGEST]")
