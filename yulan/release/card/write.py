"""Fill a template and write the page with its evidence; cards in two languages, each from the one template."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from yulan import files
from yulan.errors import DataError
from yulan.release.card.duties import lines_of
from yulan.release.card.evidence import CARDS, PAGES, Figures, Language, pointer
from yulan.schema import load_yaml

TEMPLATES = Path(__file__).parent / "templates"


def write_cards(folder: Path, template: str, documents: Mapping[str, Any], **values: Any) -> None:
    """Write the card and its evidence into `folder`, in each language from the one template.

    Raises: as `write_page`.
    """
    for language, (page, _) in CARDS.items():
        write_page(folder, template, page, documents, language, **values)


def write_page(
    folder: Path, template: str, page: str, documents: Mapping[str, Any], language: Language = "en", **values: Any
) -> None:
    """Write one page, and which file of the folder each of its figures is from.

    `documents` are files of the folder that are not written yet, by name.
    Raises: DataError: a figure's key is not there, or a sentence has no words in the language.
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
    said = words(language)
    engine.globals |= {"figure": figures, "at": pointer, "t": said, "language": language, "lines_of": partial(lines_of, t=said)}
    text = engine.get_template(f"{template}.md").render(**values)
    files.write_text(folder / page, text)
    files.write_json(folder / PAGES[page], figures.evidence())


def words(language: Language) -> Callable[[str], str]:
    """What a template calls around each of its sentences."""
    if language == "en":
        return str
    path = TEMPLATES / f"{language}.yaml"
    known: dict[str, str] = load_yaml(path)

    def said(sentence: str) -> str:
        if sentence not in known:
            raise DataError(f"the card has no words for {sentence!r}", where=path.name, cure="Add them there")
        return known[sentence]

    return said


def citation() -> str:
    """The BibTeX entry of the cards."""
    text = (TEMPLATES / "citation.md").read_text(encoding="utf-8")
    return text[text.index("@") : text.rindex("}\n```") + 1]
