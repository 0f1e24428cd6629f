"""Fill a card's template and write it with its evidence; the data card in two languages, from the one template."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from yulan import files
from yulan.errors import DataError
from yulan.release.card.duties import lines_of
from yulan.release.card.evidence import CARDS, Figures, Language, pointer
from yulan.schema import load_yaml

TEMPLATES = Path(__file__).parent / "templates"


def write_card(folder: Path, template: str, documents: Mapping[str, Any], language: Language = "en", **values: Any) -> None:
    """Write a card and its evidence into `folder`: README.md and evidence.json, of another language under other names.

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
    card, evidence = CARDS[language]
    files.write_text(folder / card, text)
    files.write_json(folder / evidence, figures.evidence())


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
