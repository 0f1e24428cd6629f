from dataclasses import replace
from pathlib import Path

import pytest

from yulan import digest, files, manifest
from yulan.errors import DataError, IntegrityError
from yulan.layout import Layout, Place
from yulan.manifest import Manifest
from yulan.schema import plain


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Layout(root=tmp_path, recipe="nano").stage("clean")
    files.write_text(place.data / "en" / "a.txt", "one")
    files.write_text(place.data / "b.txt", "two")
    return place


def seal(place: Place) -> Manifest:
    layout = Layout(root=place.folder.parents[2], recipe="nano")
    return manifest.seal(place, layout, stage="clean", inputs={"raw": "0" * 64}, keys={"seed": 1}, summary={"documents": 2})


def test_a_manifest_lists_every_byte_and_reads_back(place: Place):
    made = seal(place)
    assert [(file.path, file.size, file.sha256) for file in made.files] == [
        ("b.txt", 3, digest.of_bytes(b"two")),
        ("en/a.txt", 3, digest.of_bytes(b"one")),
    ]
    assert manifest.read(place.manifest) == made == manifest.require_whole(place)
    assert made.size == 6


def test_equal_contents_have_one_identity_wherever_they_lie(place: Place, tmp_path_factory: pytest.TempPathFactory):
    other = Layout(root=tmp_path_factory.mktemp("other"), recipe="nano").stage("clean")
    files.link_tree(place.data, other.data)
    assert seal(place).digest == seal(other).digest
    assert place.manifest.read_bytes() == other.manifest.read_bytes()


def test_the_identity_covers_files_inputs_keys_and_counts(place: Place):
    made = seal(place)
    changed = [{"inputs": {}}, {"keys": {"seed": 2}}, {"summary": {}}, {"files": ()}, {"stage": "raw"}, {"name": "other"}]
    assert len({made.digest, *(replace(made, **change).digest for change in changed)}) == 7


def test_the_golden_bytes_of_a_manifest(place: Place):
    seal(place)
    sums = [digest.of_bytes(b"two"), digest.of_bytes(b"one")]
    golden = f"""{{
 "determinism": null,
 "files": [
  {{
   "path": "b.txt",
   "sha256": "{sums[0]}",
   "size": 3
  }},
  {{
   "path": "en/a.txt",
   "sha256": "{sums[1]}",
   "size": 3
  }}
 ],
 "format": 1,
 "inputs": {{
  "raw": "{"0" * 64}"
 }},
 "keys": {{
  "seed": 1
 }},
 "name": "nano",
 "stage": "clean",
 "summary": {{
  "documents": 2
 }}
}}
"""
    assert place.manifest.read_text() == golden


def test_every_kind_of_damage_is_named(place: Place):
    seal(place)
    (place.data / "b.txt").write_text("tw0")
    (place.data / "en" / "a.txt").rename(place.data / "en" / "c.txt")
    with pytest.raises(
        IntegrityError, match=r"does not match its manifest\. Restore it with: dvc checkout .*clean/data"
    ) as raised:
        manifest.require_whole(place)
    assert raised.value.evidence == ("missing  en/a.txt", "extra    en/c.txt", "changed  b.txt")


def test_an_artifact_without_its_data_does_not_match(place: Place):
    seal(place)
    files.remove(place.data)
    with pytest.raises(IntegrityError, match="missing  data"):
        manifest.require_whole(place)


def test_a_folder_without_a_manifest_is_unfinished(place: Place):
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        manifest.require_whole(place)


def test_only_the_files_that_are_read_need_be_right(place: Place):
    made = seal(place)
    (place.data / "b.txt").write_text("tw0")
    assert manifest.require_parts(place, ["en/a.txt"]) == made
    with pytest.raises(IntegrityError, match=r"b\.txt does not match its manifest"):
        manifest.require_parts(place, ["en/a.txt", "b.txt"])
    with pytest.raises(IntegrityError, match=r"c\.txt does not match its manifest"):
        manifest.require_parts(place, ["c.txt"])


def test_a_link_is_never_listed(place: Place):
    (place.data / "way").symlink_to("/etc/hostname")
    with pytest.raises(IntegrityError, match=r"data/way: a link or special file\. Replace it with the file itself"):
        seal(place)


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/./b", "a\\b", "a\nb", ""])
def test_a_name_that_leaves_the_folder_is_refused(name: str):
    with pytest.raises(IntegrityError, match=r"the file name .* is not allowed\. Do not use this folder"):
        manifest.require_safe([name], "where")


def test_two_names_that_one_disk_may_merge_are_refused():
    with pytest.raises(IntegrityError, match="the file name 'A' stands twice"):
        manifest.require_safe(["a", "A"], "where")


def test_a_manifest_with_a_hostile_name_is_not_even_read(place: Place):
    made = seal(place)
    raw = plain(made)
    raw["files"][0]["path"] = "../../outside"
    files.write_json(place.manifest, raw)
    with pytest.raises(IntegrityError, match=r"the file name '\.\./\.\./outside' is not allowed"):
        manifest.read(place.manifest)


def test_a_manifest_of_another_format_is_refused(place: Place):
    files.write_json(place.manifest, plain(seal(place)) | {"format": 9})
    with pytest.raises(DataError, match=r"\$\.format: 9 is not one of the known values"):
        manifest.read(place.manifest)


def test_what_breaks_the_schema_is_never_written(place: Place):
    with pytest.raises(DataError, match="is not of type"):
        manifest.write(place.manifest, replace(seal(place), inputs={"raw": 5}))  # type: ignore[dict-item]
