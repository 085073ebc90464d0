"""The sections of `config.toml`: every setting with its default, what it may be, and one sentence on what it does.

This is the one place that describes a setting: errors, `finetune-tui config` and the settings screen read it from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def _number(default: float, low: float, high: float, help: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "help": help})


def _choice(default: str, *allowed: str, help: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "help": help})


def _switch(default: bool, help: str) -> Any:
    return field(default=default, metadata={"help": help})


def _text(default: str, help: str, *, name: bool = False, secret: bool = False) -> Any:
    """`name`: only a-z and digits; `secret`: no part of what is printed."""
    return field(default=default, metadata={"help": help, "name": name, "secret": secret}, repr=not secret)


def _texts(help: str) -> Any:
    return field(default=(), metadata={"help": help})


@dataclass(frozen=True, slots=True)
class General:
    """Names."""

    prefix: str = _text("ft", "What the names of versions and aliases start with.", name=True)
    author: str = _text("", "The name written beside a promotion; empty for the user of this computer.")


@dataclass(frozen=True, slots=True)
class Capture:
    """What is kept of what comes in."""

    sanitize: bool = _switch(
        True, "Replace addresses, phone numbers, keys and the like by placeholders before anything is stored."
    )
    max_chars: int = _number(1_000_000, 1_000, 100_000_000, "The longest text taken in one field, in characters.")
    retention: int = _number(50_000, 100, 1_000_000_000, "The most events kept in one category.")


@dataclass(frozen=True, slots=True)
class Select:
    """The constants of the learning components, and the switches that turn a component on."""

    reward: str = _choice(
        "tanh", "tanh", "bucket", help="How scores become rewards: a smooth curve, or the five steps of older versions."
    )
    decay_per_day: float = _number(0.95, 0.5, 1.0, "What an event's weight is multiplied by for every day of its age.")
    difficulty_weight: float = _number(1.5, 0.0, 10.0, "How much more the reward of a difficult event counts.")
    balance_at: int = _number(100, 1, 1_000_000, "From this many recent events on, each reward in a category shrinks.")
    min_reward: float = _number(0.3, -1.0, 1.0, "The lowest reward of an event that is trained on.")
    min_score: float = _number(70.0, 0.0, 100.0, "The lowest score of an event that is trained on.")
    near_duplicate: float = _number(0.9, 0.5, 1.0, "The similarity from which on two texts count as the same.")
    uncertainty_weight: float = _number(0.4, 0.0, 1.0, "The share of uncertainty in what is shown for review first.")
    diversity_weight: float = _number(0.3, 0.0, 1.0, "The share of diversity in what is shown for review first.")
    quality_weight: float = _number(0.3, 0.0, 1.0, "The share of quality in what is shown for review first.")
    held_out_percent: int = _number(20, 1, 90, "How many of 100 prompts are kept out of training to test on.")
    max_test: int = _number(200, 1, 100_000, "The most prompts in a test set.")
    max_validation: int = _number(100, 1, 100_000, "The most prompts in a validation set.")
    curriculum: bool = _switch(False, "Train on easy examples first, on hard ones later.")
    active: bool = _switch(True, "Choose the most informative events instead of the newest.")
    weigh_by_reward: bool = _switch(True, "Let an event with a higher reward count more in training.")
    embeddings: str = _text(
        "auto",
        'What compares texts by meaning: "auto" (a sentence-transformers model that is on this machine, else none), '
        '"none", the folder of such a model, or a GGUF file.',
    )
    hard_negatives: bool = _switch(True, "Mix what the model failed on into the batch.")
    hard_share: float = _number(0.35, 0.0, 1.0, "The most that hard negatives take of a batch, as a share.")
    max_retests: int = _number(100, 0, 100_000, "The most hard negatives that a new version is tested on again.")
    preferences: bool = _switch(False, "After training, answer prompts several times to make preference pairs.")
    candidates: int = _number(4, 2, 5, "How many answers are drawn for a prompt when pairs are made.")
    min_margin: float = _number(0.1, 0.0, 1.0, "The least difference in reward between the two sides of a pair.")
    augmentation: bool = _switch(False, "Add variations of good examples to the batch.")
    augment_factor: int = _number(2, 1, 5, "How many variations are made of one example.")
    augment_floor: float = _number(0.6, 0.0, 1.0, "The least similarity of a variation to its original.")
    augment_ceiling: float = _number(0.97, 0.0, 1.0, "The most similarity of a variation to its original.")
    augment_methods: str = _text(
        "synonym, paraphrase, context, model",
        'How variations are made: "all", or some of synonym, paraphrase, context, order, model and back_translation.',
    )
    augment_model: str = _text(
        "", "The GGUF file that writes variations for model and back_translation; without it only rules are applied."
    )
    replay_share: float = _number(0.25, 0.0, 0.9, "The share of older lessons mixed in when training goes on.")


@dataclass(frozen=True, slots=True)
class Train:
    """`settings` holds the other keys of the section as they were written.

    They are those of `core.train.config.TrainSettings`, which checks them and knows their defaults.
    """

    base_model: str = _text("demo", "The base model of a category without one of its own: a preset's name or a folder.")
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publish:
    """The sampling parameters that a published model carries, and that both arms of an A/B test use."""

    temperature: float = _number(0.3, 0.0, 5.0, "How freely answers are drawn; 0 always takes the likeliest token.")
    top_p: float = _number(0.9, 0.01, 1.0, "Draw only from the likeliest tokens that together have this probability.")
    top_k: int = _number(40, 0, 100_000, "Draw only from this many of the likeliest tokens; 0 from all.")
    num_ctx: int = _number(4096, 64, 10_000_000, "The context window, in tokens.")
    repeat_penalty: float = _number(1.0, 0.1, 10.0, "How much a repeated token is made less likely; 1 not at all.")
    max_tokens: int = _number(512, 1, 1_000_000, "The longest answer, in tokens.")
    stop: tuple[str, ...] = _texts("Strings that end an answer beside the model's own end tokens.")
    keep_versions: int = _number(
        5, 0, 1_000_000, "How many of a category's newest versions keep their files besides what serves; 0 keeps all."
    )


@dataclass(frozen=True, slots=True)
class Ab:
    """When a candidate may be promoted."""

    min_tests: int = _number(100, 1, 1_000_000, "The least number of prompts both versions must have answered.")
    min_win_rate: float = _number(0.65, 0.0, 1.0, "The least share of wins of the candidate.")
    evidence: float = _number(20.0, 1.0, 1e9, "The least evidence that the difference is no chance, as odds (e-value).")
    latency_ratio: float = _number(1.5, 1.0, 100.0, "The most that the candidate may take, as a multiple of the other.")
    success_margin: float = _number(0.05, 0.0, 1.0, "How much lower the candidate's success rate may be, as a share.")
    forgetting: bool = _switch(True, "Never promote a candidate that has forgotten what is watched during training.")


@dataclass(frozen=True, slots=True)
class Loop:
    """What happens by itself."""

    auto_train: bool = _switch(True, "Let the worker train by itself when enough new feedback is there.")
    auto_promote: bool = _switch(False, "Let a run promote its version when the A/B test says so.")
    auto_rollback: bool = _switch(True, "Roll a version back that does worse in production than the one before.")
    policy: str = _choice(
        "adaptive", "adaptive", "fixed", "tiered", help="When enough new feedback is there for the next training."
    )
    incremental: bool = _switch(True, "Let a new version go on from the adapter of the one before.")
    settle_seconds: float = _number(5.0, 0.0, 86_400.0, "How long after its last new event a category is looked at.")
    check_seconds: float = _number(3_600.0, 1.0, 604_800.0, "How often every category is looked at, in seconds.")
    backoff_seconds: float = _number(
        300.0, 0.0, 604_800.0, "How long a failed run waits until it is tried again; doubled each time."
    )
    max_attempts: int = _number(5, 1, 100, "How often a failed run is tried in all.")


@dataclass(frozen=True, slots=True)
class Review:
    """Judging in the app."""

    repeat_every: int = _number(
        50, 0, 1_000_000, "After how many verdicts an old event is asked about again, blind; 0 never."
    )


@dataclass(frozen=True, slots=True)
class Search:
    """Searches for good training settings. See `core.search.places` for what `storage` may be."""

    storage: str = _text(
        "",
        "Where searches lie that several processes or machines share; empty for the home folder's own.",
        secret=True,  # it may hold a password
    )


@dataclass(frozen=True, slots=True)
class Serve:
    """The gateway (`finetune-tui serve`) and the server behind it."""

    host: str = _text("127.0.0.1", "The address that the gateway listens on; outside this machine it needs a token.")
    port: int = _number(11_435, 0, 65_535, "The port that the gateway listens on; 0 takes a free one.")
    backend: str = _choice(
        "auto", "auto", "ollama", "embedded",
        help="Where versions are served: in Ollama, by llama.cpp inside this program, or in Ollama where it answers.",
    )  # fmt: skip
    ollama: str = _text("", "The URL of Ollama; empty for OLLAMA_HOST or the usual place.")
    token: str = _text("", "What every caller of the gateway must show.", secret=True)
    hosts: tuple[str, ...] = _texts("Host names let in beside this machine's own.")
    origins: tuple[str, ...] = _texts("Web origins let in beside this machine's own.")
    category: str = _text(
        "", "The category of requests that no alias, version or header assigns; empty leaves them unrecorded."
    )
    record: bool = _switch(True, "Record what was asked and answered.")
    shadow_share: float = _number(0.2, 0.0, 1.0, "The share of requests that the candidate answers too, unseen.")
    shadow_queue: int = _number(256, 0, 100_000, "The most requests that wait for the candidate.")
    queue: int = _number(64, 1, 10_000, "The most requests that wait for the embedded server.")
    max_body_mb: int = _number(64, 1, 4_096, "The largest request, in MB.")
