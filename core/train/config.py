"""The settings of one training run: defaults, presets, and what each may be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, get_args

from core.config import Config, close_names
from core.errors import ConfigError

Method = Literal["sft", "dpo", "kto"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["auto", "adamw", "adamw_8bit"]
Switch = Literal["auto", "on", "off"]
METHODS: Final = get_args(Method)
LOGIT_CHUNK_BYTES: Final = 64 * 1024 * 1024  # float32 logits that the loss holds at once
CHECKPOINTING_FROM: Final = 500_000_000  # parameters; below, computing twice costs more than the memory is worth
QUICK_PROMPTS: Final = 120  # held-out prompts of a run by the worker: what a verdict needs at least, with some spare
QUANTIZATIONS: Final = (
    *("f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0"),
    *("q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "iq4_xs"),
)

_LISTS: Final = ("quantize", "target_modules")
_LAYER: Final = re.compile(r"[A-Za-z_][\w.]*")
_NOT_LEARNED: Final = frozenset({"lm_head", "embed_tokens"})

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "epochs": (1, 1_000),
    "learning_rate": (1e-8, 1.0),
    "batch_size": (1, 4_096),
    "accumulation": (1, 4_096),
    "rank": (1, 1_024),
    "alpha": (1, 4_096),
    "dropout": (0.0, 0.9),
    "max_length": (16, 1_000_000),
    "warmup_ratio": (0.0, 0.9),
    "weight_decay": (0.0, 1.0),
    "max_grad_norm": (1e-4, 1e4),
    "seed": (0, 2**63 - 1),
    "eval_every": (0, 1_000_000),
    "save_every": (0, 1_000_000),
    "early_stopping_patience": (0, 1_000),
    "ab_prompts": (1, 100_000),
    "beta": (1e-4, 10.0),
    "nll_weight": (0.0, 100.0),
    "desirable_weight": (0.0, 100.0),
    "undesirable_weight": (0.0, 100.0),
    "score_prompts": (0, 10_000),
    "max_temperature": (0, 150),
    "processes": (1, 1_024),
}
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "method": METHODS,
    "precision": get_args(Precision),
    "gradient_checkpointing": get_args(Switch),
    "quantize_base": get_args(Switch),
    "optimizer": get_args(Optimizer),
}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Every setting of a run. Raises ConfigError when one has the wrong type or range.

    `method`: "sft" learns answers, "dpo" preference pairs, "kto" lone thumbs. One optimizer step learns from
    `batch_size * accumulation` examples. `batch_size` full-length examples (`batch_size * max_length` tokens) are held
    in memory at once; shorter ones share that room. `alpha / rank` scales the adapter. `warmup_ratio` is the share of
    all steps with a rising learning rate, which then falls as a half cosine. `eval_every` and `save_every` count steps,
    0 leaves the choice to the run's length. `early_stopping_patience` counts evaluations without a better model, 0
    never stops early. `ab_prompts` is the most held-out prompts that the finished model is tested on.

    `beta` is how closely DPO and KTO hold to the model they start from; `nll_weight` weighs the chosen answer's own
    likelihood in DPO, the two weights after it the liked and the disliked answers in KTO. `quantize_base` keeps the
    frozen base in 4-bit NF4 (QLoRA), by itself where a GPU would be filled by a third; `optimizer` "adamw_8bit" keeps
    the optimizer's state in 8 bits, paged on a GPU. `score_prompts` validation prompts are answered and scored whenever
    the model is evaluated, 0 leaves the choice of the best checkpoint to the loss. From `max_temperature` °C on the
    run pauses, 0 never. `processes` share every step, each with a device of its own where there are several.
    `target_modules` are the linear layers that get an adapter, by the end of their names; empty: all but the output.
    """

    method: Method = "sft"
    epochs: int = 3
    learning_rate: float = 2e-4
    batch_size: int = 1
    accumulation: int = 8
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    max_length: int = 512
    warmup_ratio: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: Precision = "auto"
    gradient_checkpointing: Switch = "auto"
    eval_every: int = 0
    save_every: int = 0
    early_stopping_patience: int = 0
    quantize: tuple[str, ...] = ("f16", "q8_0")
    ab_prompts: int = 200
    beta: float = 0.1
    nll_weight: float = 1.0
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    quantize_base: Switch = "auto"
    optimizer: Optimizer = "auto"
    score_prompts: int = 16
    max_temperature: int = 85
    processes: int = 1
    target_modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            _check_number(name, getattr(self, name), low, high, whole=isinstance(_DEFAULTS[name], int))
        for name, allowed in CHOICES.items():
            _check_choice(name, getattr(self, name), allowed)
        if not isinstance(self.quantize, tuple) or not self.quantize:
            raise _wrong("quantize", self.quantize, f"a list of one or more of: {', '.join(QUANTIZATIONS)}")
        for kind in self.quantize:
            _check_choice("quantize", kind, QUANTIZATIONS)
        named = self.target_modules
        if not isinstance(named, tuple) or not all(isinstance(one, str) and _LAYER.fullmatch(one) for one in named):
            raise _wrong("target_modules", named, "a list of names of linear layers, for example q_proj and v_proj")
        if _NOT_LEARNED & {one.rpartition(".")[2] for one in named}:
            raise _wrong("target_modules", named, "layers of the decoder: embeddings and the output layer do not learn")

    @property
    def effective_batch(self) -> int:
        """Examples per optimizer step."""
        return self.batch_size * self.accumulation

    @property
    def token_budget(self) -> int:
        """Tokens, padding included, that one forward and backward pass may hold."""
        return self.batch_size * self.max_length

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainSettings:
        """Settings from parsed JSON or TOML; what is missing keeps its default. Raises ConfigError."""
        known = {entry.name: None for entry in fields(cls)}
        for name in values:
            if name not in known:
                raise ConfigError(f"`{name}` is no setting of a training run.", hint=close_names(name, known))
        checked = dict(values)
        for name in _LISTS:
            if isinstance(checked.get(name), list):
                checked[name] = tuple(checked[name])
        return cls(**checked)

    def to_mapping(self) -> dict[str, Any]:
        """The settings as JSON values; `from_mapping` gives the same settings back."""
        return {name: list(value) if name in _LISTS else value for name, value in asdict(self).items()}

    def recomputes_activations(self, parameters: int) -> bool:
        """Whether a model of so many parameters trains with gradient checkpointing."""
        automatic = self.gradient_checkpointing == "auto" and parameters >= CHECKPOINTING_FROM
        return automatic or self.gradient_checkpointing == "on"

    def steps_per_epoch(self, examples: int) -> int:
        """Optimizer steps in one pass over `examples` training examples."""
        return math.ceil(examples / self.effective_batch)

    def total_steps(self, examples: int) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * self.steps_per_epoch(examples)

    def evaluation_interval(self, examples: int) -> int:
        """Steps between two evaluations: `eval_every`, else twice an epoch."""
        return self.eval_every or max(1, self.steps_per_epoch(examples) // 2)

    def save_interval(self, examples: int) -> int:
        """Steps between two checkpoints: `save_every`, else a tenth of the run, from 5 to 50 steps.

        A kill loses at most this many steps; a checkpoint of an adapter takes from milliseconds to about a second.
        """
        return self.save_every or min(50, max(5, self.total_steps(examples) // 10))


def configured(config: Config, base: str) -> dict[str, Any]:
    """The settings that a run on a base model starts with: defaults, then the preset's, then those of `config.toml`.

    `base` is a preset's name or anything else. Raises ConfigError for a faulty `[train]` section.
    """
    from core.train.presets import PRESETS

    preset = PRESETS.get(base.lower())
    own = {**(preset.settings if preset else {}), **config.train.settings}
    try:
        return TrainSettings.from_mapping(own).to_mapping()
    except ConfigError as error:
        raise ConfigError(f"config.toml: [train]: {error.message}", hint=error.hint) from error


_DEFAULTS: Final[Mapping[str, Any]] = {entry.name: entry.default for entry in fields(TrainSettings)}


def deep(base: TrainSettings | None = None) -> TrainSettings:
    """For a run by hand: twice the adapter and the epochs, and an end when validation stops improving."""
    return replace(base or TrainSettings(), epochs=6, rank=16, alpha=32, early_stopping_patience=3)


def _check_number(name: str, value: object, low: float, high: float, *, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
        raise _wrong(name, value, f"a {'whole ' if whole else ''}number from {low:g} to {high:g}")


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise _wrong(name, value, f"one of: {', '.join(allowed)}")


def _wrong(name: str, value: object, allowed: str) -> ConfigError:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    return ConfigError(
        f"The training setting `{name}` is {shown}, but must be {allowed}.", hint="Correct it in the form or the file."
    )
