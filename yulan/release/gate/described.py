"""The rule about croissant.json, and the one file that imports mlcroissant."""

import logging
from collections.abc import Iterator
from pathlib import Path

from yulan.release.gate.bundle import Bundle
from yulan.schema import load_json

CROISSANT = "croissant.json"


def croissant_valid(bundle: Bundle) -> Iterator[str]:
    """mlcroissant accepts croissant.json, which names every Parquet file of the data with its sha256 and columns."""
    import pyarrow.parquet as pq

    path = bundle.data / CROISSANT
    if not path.is_file():
        yield f"{bundle.name(path)} is not there"
        return
    raw = load_json(path)
    told = {each["contentUrl"]: each["sha256"] for each in raw["distribution"] if each["@type"] == "cr:FileObject"}
    (folder,) = bundle.of("data")
    there = {file.path: file.sha256 for file in folder.content.files if file.path.endswith(".parquet")}
    yield from (f"{name} is not described" for name in sorted(there.keys() - told.keys()))
    yield from (f"{name} is described and not there" for name in sorted(told.keys() - there.keys()))
    yield from (f"{name} has another sha256" for name in sorted(told.keys() & there.keys()) if told[name] != there[name])
    columns = {name: pq.read_schema(bundle.data / name).names for name in told.keys() & there.keys()}
    for each in raw["recordSet"]:
        source = each["field"][0]["source"].get("fileObject", {}).get("@id")
        fields = [field["source"]["extract"]["column"] for field in each["field"]]
        if source in columns and fields != columns[source]:
            yield f"{each['@id']} has the fields {', '.join(fields)}, its file others"
    yield from complaints(path)


def complaints(path: Path) -> Iterator[str]:
    """What mlcroissant says is wrong; what it only recommends is left aside."""
    # absl, which its messages go through, would print the recommendations.
    logging.getLogger("absl").setLevel(logging.ERROR)
    import mlcroissant

    try:
        mlcroissant.Dataset(jsonld=path)
    except (mlcroissant.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{path.name}: {' '.join(str(error).split())[:300]}"
