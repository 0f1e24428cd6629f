"""The optimizer, schedule and phase sections of a recipe."""

from dataclasses import dataclass
from typing import Literal

from yulan.errors import RecipeError

Regime = Literal["warmup-stable", "stable", "anneal"]
Packing = Literal["stream", "best-fit", "whole"]
"""How documents come into windows: docs/formats/tokens.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """AdamW, gradient clipping and the auxiliary loss."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    """Decoupled, on matrices and embeddings; not on biases, norms and alphas."""
    clip: float
    """Largest global gradient norm."""
    z_loss: float
    """Weight of mean(logsumexp(logits)^2)."""
    mup_lr: bool
    """Matrix-like parameters train at lr x base_width / hidden_size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Warmup-stable part of the learning rate, a function of the global step along a path."""

    peak: float
    """Learning rate on the plateau."""
    warmup: int
    """Optimizer steps from 0 to the peak, linear."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anneal:
    """Decay at the end of a path: peak x (1 - sqrt((step - start) / length)). Declared by its first phase."""

    start: int
    """Global step of the last full learning rate."""
    length: int
    """Optimizer steps until the rate reaches 0."""
    hold: int | None
    """Global step at which the rate stops falling, or null: it falls to 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What is looked at while training, which steps are refused, and when training goes back."""

    every: int
    """Optimizer steps between looks inside the model."""
    window: int
    """Accepted steps of the phase, the newest ones, that a step is judged by."""
    least: int
    """Accepted steps below which only what is not finite is refused."""
    loss: float
    """A step whose loss lies further above the window's median is refused; in spreads, 1.4826 x median |x - median|."""
    grad_norm: float
    """The same of the gradient norm."""
    floor: float
    """Least spread, as a part of the median."""
    patience: int
    """Refused steps among the last `within` at which training goes back, or ends."""
    within: int
    """Optimizer steps."""
    rollbacks: int
    """Times that training goes back in a phase before it ends; 0: it never does."""

    def __post_init__(self) -> None:
        for low, high in (("least", "window"), ("patience", "within")):
            if getattr(self, low) > getattr(self, high):
                raise RecipeError(
                    f"{low} is larger than {high}", where=f"$.watch.{low}", cure=f"Lower it to {getattr(self, high)} at most"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Steps of a phase, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoints:
    every: int
    """Optimizer steps between checkpoints; the last step of a phase always has one."""
    keep: int
    """How many of the newest stay while training; the last of a phase is always kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One stretch of the curriculum."""

    after: str
    """Parent phase, or `init`."""
    regime: Regime
    mix: str
    """Name of a file in mixes/, without .yaml."""
    tokens: int
    """Budget in inputs, padding counted; what does not fill a step is dropped and counted."""
    context: int
    """T: trained-on tokens in a window."""
    packing: Packing
    """stream: cut wherever a window is full. best-fit: a document is cut only if it is longer than a window, or where the
    phase's share of its source ends. whole: only if it is longer than a window."""
    rope_theta: float
    """Base of the rotary angles."""
    batch: int
    """Windows in an optimizer step."""
    grid: int
    """M micro-batches in a step, whatever the number of processes; divides `batch`."""
    checkpoints: Checkpoints
    anneal: Anneal | None
    """The decay that begins in this phase; null in the other phases, also in those a decay runs on into."""
    skip: tuple[Stretch, ...]
    """Steps known beforehand that consume their windows and update nothing, in rising order."""
    rebalance: bool
    """Begin in other coordinates than the parent ended in: alphas back near their start, weights and moments carried."""

    @property
    def step_tokens(self) -> int:
        return self.batch * self.context

    @property
    def steps(self) -> int:
        """Optimizer steps in this phase."""
        return self.tokens // self.step_tokens

    def skips(self, step: int) -> bool:
        """Whether a step of the phase is to update nothing."""
        return any(each.first <= step <= each.last for each in self.skip)

    @property
    def windows(self) -> int:
        """Windows that are trained on."""
        return self.steps * self.batch

    @property
    def dropped(self) -> int:
        """Tokens of the budget that do not fill a step."""
        return self.tokens - self.steps * self.step_tokens

    def require_sound(self, name: str) -> None:
        """Raises: RecipeError: the phase contradicts itself."""

        def wrong(key: str, what: str, cure: str) -> RecipeError:
            return RecipeError(what, where=f"$.phases.{name}.{key}", cure=cure)

        if self.batch % self.grid:
            raise wrong(
                "grid",
                f"a batch of {self.batch} windows does not divide into {self.grid} micro-batches",
                "Choose a divisor of batch",
            )
        if self.steps < 1:
            raise wrong(
                "tokens", f"{self.tokens} tokens are less than one step of {self.step_tokens}", "Raise tokens or lower batch"
            )
        bounds = [0, *(step for each in self.skip for step in (each.first - 1, each.last)), self.steps]
        if bounds != sorted(bounds) or any(each.last < each.first for each in self.skip):
            raise wrong("skip", f"not stretches in rising order within steps 1 to {self.steps}", "Correct first and last")
        if self.anneal is not None and self.regime != "anneal":
            raise wrong("anneal", f"a {self.regime} phase declares an anneal", "Set it to null, or the regime to anneal")
