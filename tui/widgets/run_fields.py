"""What the form of a new run asks: its fields, their texts as numbers, and all that it says as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["integer", "number"]

METHODS: Final = (("SFT · answers", "sft"), ("DPO · pairs", "dpo"), ("KTO · thumbs", "kto"))
METHOD_TIP: Final = (
    "SFT learns answers that you confirmed or wrote; begin with it. DPO learns which of two answers is better, KTO "
    "which answers you like and which not; both refine a version that answers well already."
)
QUANTIZE: Final = (("auto", "auto"), ("on", "on"), ("off", "off"))
QUANTIZE_TIP: Final = (
    "Keeps the base model in 4 bits while it learns (QLoRA): about a quarter of its memory, slower, slightly coarser. "
    "What is exported is always the base as it was. auto: where it would fill more than a third of a GPU."
)
START_TIP: Final = (
    "A fresh adapter learns everything anew. A version goes on with what it has learned: it learns what is new and "
    "repeats some of the old; its rank and alpha stay."
)
BASE_TIP: Final = "A preset, a model folder, a GGUF file, or ollama:NAME for a model of Ollama's. Enter lists all."


@dataclass(frozen=True, slots=True)
class Field:
    """One number of the form: its key in the training settings, its label, its kind and what it does."""

    key: str
    label: str
    kind: Kind
    tooltip: str


FIELDS: Final = (
    Field("epochs", "Epochs", "integer", "How often every example is seen. 3 is a good start; more may overfit."),
    Field(
        "learning_rate",
        "Learning rate",
        "number",
        "Step size at its peak. 2e-4 suits LoRA, 1e-5 preferences (DPO, KTO); smaller is gentler.",
    ),
    Field(
        "batch_size",
        "Batch",
        "integer",
        "Examples at once in memory. With the base in 4 bits 8 GB: 1; 12 GB: 1-2; 16 GB: 2-4; 24 GB: 4-8.",
    ),
    Field("accumulation", "Accumulation", "integer", "Batches per step: a larger batch without more memory."),
    Field("rank", "LoRA rank", "integer", "Size of the adapter: 4-64. Larger learns more and needs more memory."),
    Field("alpha", "LoRA alpha", "integer", "Strength of the adapter; twice the rank is usual."),
    Field("max_length", "Max length", "integer", "Longest example in tokens. Longer needs more memory."),
    Field("seed", "Seed", "integer", "The same seed with the same data gives the same run."),
)
KEYS: Final = frozenset(field.key for field in FIELDS)
SETTINGS: Final = KEYS | {"quantize_base"}
"""Settings that stand in the form and follow what is suggested until somebody edits them; the method is chosen."""
GEOMETRY: Final = ("rank", "alpha")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the form says: `settings` are training settings by key, `faults` the fields that hold no number yet.

    `start` is the name of the version to go on from, empty for a fresh adapter; `edited` are those of the settings that
    somebody has changed, so that another base model or method does not bring its own.
    """

    category: str
    base: str
    start: str
    settings: Mapping[str, Any]
    edited: Mapping[str, Any]
    faults: Mapping[str, str]

    @property
    def seed(self) -> int:
        """The seed of the selection and of the training."""
        return int(self.settings.get("seed", 0))

    @property
    def method(self) -> str:
        """sft, dpo or kto."""
        return str(self.settings["method"])


def parse_fields(texts: Mapping[str, str]) -> tuple[dict[str, int | float], dict[str, str]]:
    """Turn the texts of the fields into numbers; those that are none come back as faults by key."""
    numbers: dict[str, int | float] = {}
    faults: dict[str, str] = {}
    for field in FIELDS:
        text = texts.get(field.key, "").strip()
        try:
            if field.kind == "integer":
                numbers[field.key] = int(text)
            else:
                value = float(text)
                numbers[field.key] = int(value) if value.is_integer() and "e" not in text.lower() else value
        except (ValueError, OverflowError):
            wanted = "a whole number" if field.kind == "integer" else "a number"
            faults[field.key] = f"{field.label}: {text!r} is not {wanted}." if text else f"{field.label} is empty."
    return numbers, faults


def typed(value: Any) -> str:
    """A setting as one would type it: 0.0002 becomes 2e-4."""
    if isinstance(value, float) and 0 < abs(value) < 0.001:
        mantissa, exponent = f"{value:e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def told(settings: Mapping[str, Any]) -> str:
    """Settings in the form's words: "batch 2, 4-bit base on, optimizer adamw 8bit"."""
    labels = {field.key: field.label.removeprefix("LoRA ").lower() for field in FIELDS} | {
        "quantize_base": "4-bit base"
    }
    return ", ".join(
        f"{labels.get(key, key.replace('_', ' '))} {typed(value).replace('_', ' ')}" for key, value in settings.items()
    )
