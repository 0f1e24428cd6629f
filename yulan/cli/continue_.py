"""`yulan continue FOLDER --phase NAME`, or `--phase-file FILE --data SOURCE=PATH`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from yulan.train.phase import Outcome

Look = Callable[[], None]


@click.command("continue")
@click.argument("where", metavar="FOLDER|hf://OWNER/NAME@REVISION")
@click.option("--phase", help="Phase of the clone's recipe to train, on the clone's own mix.")
@click.option(
    "--phase-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your own phase; needs --data, no clone."
)
@click.option(
    "--data", multiple=True, metavar="[SOURCE=]PATH", help="Your text: JSONL (.gz, .zst), Parquet or a data set's folder."
)
@click.option("--text-column", multiple=True, metavar="[SOURCE=]NAME", help="Key or column of the text; without it `text`.")
@click.option("--licence", multiple=True, metavar="[SOURCE=]SPDX", help="Of your text, for the record; unknown unless told.")
@click.option(
    "--tokenizer",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The release's tokenizer, if FOLDER has none: a pulled model folder.",
)
@click.option("--profile", help="Machine to run on: a name or a file; without it the clone's.")
@click.option("--steps", type=click.IntRange(min=1), help="Train so many steps; without it the whole phase.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to make; without it one below runs/, or the phase's name here.",
)
@click.option("--fresh-optimizer", is_flag=True, help="Begin with zero moments; it goes on the record.")
@click.option("--force", is_flag=True, help="Go on from it although it was withdrawn.")
@click.option("--from", "endpoint", metavar="URL", help="Of an address: another hub than the public one.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of an address: the publisher's public key."
)
@click.option(
    "--locations",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of an address: locations.json, other addresses of its files.",
)
def continue_(
    where: str,
    phase: str | None,
    phase_file: Path | None,
    data: tuple[str, ...],
    text_column: tuple[str, ...],
    licence: tuple[str, ...],
    tokenizer: Path | None,
    profile: str | None,
    steps: int | None,
    into: Path | None,
    fresh_optimizer: bool,
    force: bool,
    endpoint: str | None,
    key: Path | None,
    locations: Path | None,
) -> None:
    """Train on from the checkpoint in FOLDER, at any number of ranks. Stopped, the same command goes on.

    An address is pulled first, its states alone, into NAME-states-REVISION here.
    """
    folder = _brought(where, endpoint, key, locations, force) if where.startswith("hf://") else Path(where)
    if not folder.is_dir():
        raise click.UsageError(f"{where!r} is no folder; an address begins with hf://")
    from yulan.release.withdrawal import require_standing, standing_in

    if not force:
        require_standing(standing_in(folder), folder)
    if phase is not None and phase_file is None:
        if data or licence or tokenizer:
            raise click.UsageError("--data, --licence and --tokenizer belong to --phase-file.")
        done = _with_clone(folder, phase, profile, steps, into, fresh_optimizer)
    elif phase_file is not None and phase is None:
        if not data:
            raise click.UsageError("--phase-file needs the text of its mix: --data SOURCE=PATH.")
        done = _with_own(folder, phase_file, data, text_column, licence, tokenizer, profile, steps, into, fresh_optimizer)
    else:
        raise click.UsageError("Give --phase, a phase of the clone's recipe, or --phase-file, one of your own.")
    from yulan.release.card.continued import write_continued

    write_continued(done.folder)
    click.echo(f"{done.kept[-1]}: step {done.state.global_step}, trajectory {done.state.trajectory}")


def _brought(where: str, endpoint: str | None, key: Path | None, locations: Path | None, force: bool) -> Path:
    """Pull the states that an address names; what is there already, whole, is not fetched again."""
    from yulan.release.names import parse, repo

    address = parse(where)
    from yulan.release.hub import Hub, token_for
    from yulan.release.locations import NOWHERE, read_locations
    from yulan.release.pull import pull
    from yulan.release.trust import load_trust

    into = Path(f"{repo(address.name, 'states').id.partition('/')[2]}-{address.revision.replace('/', '-')}")
    trust = load_trust(key) if key else None
    others = read_locations(locations) if locations else NOWHERE
    pull(
        Hub(endpoint, token_for(None)), address, into, "optimizer", lambda line: click.echo(line, err=True), trust, force, others
    )
    return into


def _with_clone(
    folder: Path, phase: str, profile: str | None, steps: int | None, into: Path | None, fresh_optimizer: bool
) -> "Outcome":
    from yulan import manifest
    from yulan.layout import MANIFEST, Layout, find_root
    from yulan.params import read_params
    from yulan.profile import load_profile
    from yulan.recipe import load_recipe
    from yulan.train.onward import continue_from, find_checkpoint
    from yulan.train.progress import Progress

    root = find_root()
    params = read_params(root)
    book = load_recipe(root, params.recipe)
    layout = Layout(root=root, recipe=params.recipe)
    if into is None:
        into = layout.runs(phase, manifest.read(find_checkpoint(folder) / MANIFEST).digest)
    return continue_from(
        folder,
        into,
        layout,
        book.recipe,
        phase,
        load_profile(profile or params.profile),
        licences={name: source.licence for name, source in book.sources.sources.items()},
        steps=steps,
        fresh_optimizer=fresh_optimizer,
        look=Progress(into, phase, steps or book.recipe.phase(phase).steps).look,
    )


def _with_own(
    folder: Path,
    phase_file: Path,
    data: tuple[str, ...],
    column: tuple[str, ...],
    licence: tuple[str, ...],
    tokenizer: Path | None,
    profile: str | None,
    steps: int | None,
    into: Path | None,
    fresh_optimizer: bool,
) -> "Outcome":
    from yulan.data.own.write import Given
    from yulan.errors import StateError
    from yulan.profile import load_profile, profile_names
    from yulan.train.onward import Brought, continue_with, load_phase
    from yulan.train.progress import Progress

    file = load_phase(phase_file)
    if profile is None:
        known = ", ".join(profile_names())
        raise StateError("no machine is named", where="--profile", cure=f"Choose one of: {known}, or a file of your own")
    sources = list(file.mix.sources)
    given = _named(data, sources, "--data")
    columns = _columns(column, given)
    brought = Brought(
        file=file,
        path=phase_file,
        data={name: Given(path=Path(path), column=columns[name]) for name, path in given.items()},
        licences=_named(licence, sources, "--licence"),
        tokenizer=tokenizer,
    )
    into = into or Path(file.name)
    look = Progress(into, file.name, steps or file.tokens // (file.batch * file.context)).look
    machine = load_profile(profile)

    def say(line: str) -> None:
        click.echo(line, err=True)

    return continue_with(folder, into, brought, machine, steps=steps, fresh_optimizer=fresh_optimizer, say=say, look=look)


def _named(words: Iterable[str], sources: list[str], option: str) -> dict[str, str]:
    """`SOURCE=VALUE` pairs; a value alone is the only source's. A path may have = in it, so only a source cuts it."""
    found: dict[str, str] = {}
    for word in words:
        name, cut, value = word.partition("=")
        if not cut or (name not in sources and Path(word).exists()):
            if len(sources) != 1:
                raise click.UsageError(f"Say which source {word!r} is of: {option} {sources[0]}=...")
            name, value = sources[0], word
        if name in found:
            raise click.UsageError(f"{option} is given twice for the source {name}.")
        found[name] = value
    return found


def _columns(words: Iterable[str], sources: Iterable[str]) -> dict[str, str]:
    """The column of each source: its own, or else the one that is named for all."""
    told = [word.partition("=") for word in words]
    own = {name: column for name, _, column in told if column and name in sources}
    common = [name + cut + column for name, cut, column in told if name not in own]
    if len(common) > 1:
        raise click.UsageError(f"--text-column names {common[0]} and {common[1]} for all sources.")
    return {name: own.get(name, *common or ["text"]) for name in sources}
