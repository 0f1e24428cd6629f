"""Fill a card's template and write it with its evidence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from yulan import files
from yulan.release.card.evidence import EVIDENCE, Figures, pointer

TEMPLATES = Path(__file__).parent / "templates"


def write_card(folder: Path, template: str, documents: Mapping[str, Any], **values: Any) -> None:
    """Write README.md and evidence.json into `folder`.

    `documents` are files of the folder that are not written yet, by name. Raises: DataError: a figure's key is not there.
    """
    figures = Figures(folder, documents)
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    engine.globals |= {"figure": figures, "at": pointer}
    text = engine.get_template(f"{template}.md").render(**values)
    files.write_text(folder / "README.md", text)
    files.write_json(folder / EVIDENCE, figures.evidence())


def citation() -> str:
    """The BibTeX entry of the cards."""
    text = (TEMPLATES / "citation.md").read_text(encoding="utf-8")
    return text[text.index("@") : text.rindex("}\n```") + 1]
