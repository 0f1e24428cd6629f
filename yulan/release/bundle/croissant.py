"""croissant.json: the data sets of a data repository for tools that know Croissant (mlcommons.org/croissant).

Addresses of files are relative, so that it holds in every pulled folder and on every hub. A build has no date, and a
data set no version but its digest, so `datePublished` and `version`, which are recommended, are not there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from yulan import digest, files
from yulan.release.bundle.configs import Config

CROISSANT = "croissant.json"
CONFORMS = "http://mlcommons.org/croissant/1.1"
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The specification's own, version 1.1."""
PARQUET = "application/x-parquet"
"""As Croissant's tools spell it; the registered name, vnd.apache.parquet, is not known to them."""


def write_croissant(
    folder: Path, configs: Sequence[Config], *, name: str, about: str, licences: Sequence[str], cite: str
) -> None:
    """Describe the Parquet files below `folder`, each with its sha256, and a record set a split.

    `licences` are SPDX ids; `name` is OWNER/NAME on a hub.
    """
    distribution, sets = [], []
    for config in configs:
        for split in config.splits:
            paths = config.files(folder, split)
            distribution += [_file(folder, path) for path in paths]
            source: dict[str, Any] = {"fileObject": {"@id": paths[0].relative_to(folder).as_posix()}}
            if len(paths) > 1:
                source = {"fileSet": {"@id": f"{config.name}/{split}/files"}}
                distribution.append(_set(config, split))
            sets.append(_records(config, split, pq.read_schema(paths[0]), source))
    described = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": name,
        "description": about,
        "license": [f"https://spdx.org/licenses/{licence}" for licence in licences],
        "creator": {"@type": "sc:Organization", "name": name.partition("/")[0]},
        "url": f"https://huggingface.co/datasets/{name}",
        "citeAs": cite,
        "distribution": distribution,
        "recordSet": sets,
    }
    files.write_json(folder / CROISSANT, described)


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": PARQUET,
        "sha256": digest.of_file(path),
    }


def _set(config: Config, split: str) -> dict[str, Any]:
    name = f"{config.name}/{split}/files"
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": PARQUET, "includes": config.splits[split]}


def _records(config: Config, split: str, schema: pa.Schema, source: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{config.name}/{split}"
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column.name}",
            "name": column.name,
            "dataType": _type(column.type),
            "source": {**source, "extract": {"column": column.name}},
        }
        for column in schema
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": config.about, "field": fields}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
