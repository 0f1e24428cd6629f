"""All figures of one phase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yulan import files
from yulan.data.benchmarks import Item
from yulan.data.shard import read_shards
from yulan.data.tokenizer import Codec
from yulan.evaluate.generate import generate
from yulan.evaluate.held_out import Losses, by_name, by_position, byte_lengths, measure, read_held_out
from yulan.evaluate.result import NAME, SAMPLES, Evaluation
from yulan.evaluate.runner import Runner, load_decoder
from yulan.evaluate.tasks import ask
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.checkpoint.state import read_state


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is evaluated, and on what."""

    recipe: Recipe
    phase: str
    checkpoint: Path
    parent: Path
    """Checkpoint that the phase began from."""
    codec: Codec
    shards: Path
    families: Mapping[str, str]
    """Family of each source."""
    items: Mapping[str, Sequence[Item]]
    """Of each benchmark; none where the phase is not benchmarked."""
    device: str


def evaluate_phase(subject: Subject, into: Path) -> Evaluation:
    """Write evaluation.json and samples.jsonl below `into`. The parent runs as the phase does: its context, its theta.

    Raises: DataError or IntegrityError: an input is not what it should be.
    """
    recipe, settings = subject.recipe, subject.recipe.evaluate
    after, before = (_runner(subject, checkpoint) for checkpoint in (subject.checkpoint, subject.parent))
    losses = _held_out(subject, after, before)
    families: dict[str, list[Losses]] = {}
    for name, documents in losses.items():
        families.setdefault(subject.families[name], []).extend(documents)
    asked = settings.tasks if subject.phase in settings.benchmarked else {}
    tasks, samples = ask(after, subject.codec, asked, subject.items)
    context = recipe.phase(subject.phase).context
    made = Evaluation(
        format=1,
        phase=subject.phase,
        global_step=read_state(subject.checkpoint).global_step,
        context=context,
        held_out=by_name(families),
        sources=by_name(losses),
        by_position=by_position([each for some in losses.values() for each in some], context, settings.position_buckets),
        tasks=tasks,
        generations=generate(after, subject.codec, settings.generations),
    )
    files.write_json(into / NAME, plain(made))
    files.write_rows(into / SAMPLES, samples)
    return made


def _runner(subject: Subject, checkpoint: Path) -> Runner:
    phase = subject.recipe.phase(subject.phase)
    decoder = load_decoder(checkpoint, subject.recipe.model, subject.device)
    return Runner(decoder=decoder, context=phase.context, rope_theta=phase.rope_theta)


def _held_out(subject: Subject, after: Runner, before: Runner) -> dict[str, list[Losses]]:
    shards, sizes = read_shards(subject.shards), byte_lengths(subject.codec.backend)
    most = subject.recipe.evaluate.held_out_tokens
    texts = {
        name: read_held_out(subject.shards, shards, name, tokens=most, context=after.context) for name in sorted(shards.sources)
    }
    return {name: measure(after, before, documents, sizes) for name, documents in texts.items()}
