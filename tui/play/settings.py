"""What stays the same from one prompt of the playground to the next, and the prompts that were sent."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from core.backends.backend import Sampling

KEPT_PROMPTS: Final = 50
_LONGEST_KEPT: Final = 20_000
HIGHEST_SEED: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """Names of the category and the models: `a` empty takes the best there is, `b` empty asks one model only.

    system: the person's own system prompt, empty for the category's. temperature: 0-5. max_tokens: 1-32768. seed:
    0 … 2**32 − 1, None for another one at each prompt. blind: names and figures are hidden until the vote.
    """

    category: str = ""
    a: str = ""
    b: str = ""
    system: str = ""
    temperature: float = 0.3
    max_tokens: int = 512
    seed: int | None = None
    blind: bool = False

    def sampling(self, *, fresh: bool = False) -> Sampling:
        """How the next answer is drawn; `fresh` takes another seed than the one that is set."""
        seed = random.randrange(HIGHEST_SEED) if fresh or self.seed is None else self.seed
        return Sampling(temperature=self.temperature, max_tokens=self.max_tokens, seed=seed)

    def to_state(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def with_state(self, state: Mapping[str, Any]) -> PlaySettings:
        """With what `to_state` told; values that are none are passed over."""
        known = {field.name: state[field.name] for field in fields(self) if field.name in state}
        return replace(self, **{name: value for name, value in known.items() if _fits(name, value)})


def _fits(name: str, value: Any) -> bool:
    if name == "blind":
        return isinstance(value, bool)
    if name == "temperature":
        return _number(value, 0.0, 5.0)
    if name == "max_tokens":
        return isinstance(value, int) and _number(value, 1, 32_768)
    if name == "seed":
        return value is None or (isinstance(value, int) and _number(value, 0, HIGHEST_SEED))
    return isinstance(value, str)


def _number(value: Any, low: float, high: float) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    )


def unnamed(settings: PlaySettings, names: Sequence[str]) -> PlaySettings:
    """Without the models that are not among `names`, as after another category was chosen; Ollama's stay."""

    def kept(name: str) -> str:
        return name if name in names or name.startswith("ollama:") else ""

    return replace(settings, a=kept(settings.a), b=kept(settings.b))


class Prompts:
    """The last 50 prompts that were sent, and a place among them. The text that was being written is the newest."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._at = 0
        self._draft = ""

    @property
    def sent(self) -> Sequence[str]:
        """The oldest first; what is very long is not among them."""
        return tuple(self._sent)

    def restore(self, sent: Any) -> None:
        """Take up what `sent` was; anything else is passed over."""
        kept = [each for each in sent if isinstance(each, str)] if isinstance(sent, list | tuple) else []
        self._sent = kept[-KEPT_PROMPTS:]
        self._at = len(self._sent)

    def add(self, prompt: str) -> None:
        """A prompt was sent; the same one again moves to the end."""
        if len(prompt) <= _LONGEST_KEPT:
            self._sent = [*(each for each in self._sent if each != prompt), prompt][-KEPT_PROMPTS:]
        self._at, self._draft = len(self._sent), ""

    def older(self, current: str) -> str | None:
        """The one before, None at the oldest. `current` is what stands in the box."""
        if self._at == len(self._sent):
            self._draft = current
            # What was sent last still stands there: the one before it is meant.
            if self._sent and self._sent[-1] == current:
                self._at -= 1
        return self._go(-1)

    def newer(self) -> str | None:
        """The one after, at the end what was being written; None there."""
        return self._go(1)

    def _go(self, step: int) -> str | None:
        at = self._at + step
        if not 0 <= at <= len(self._sent):
            return None
        self._at = at
        return self._draft if at == len(self._sent) else self._sent[at]


@dataclass(slots=True)
class Remembered:
    """All that the playground finds again after a restart; `draft` is what stands in the box."""

    settings: PlaySettings
    prompts: Prompts

    def to_state(self, draft: str) -> dict[str, Any]:
        """As JSON values; a very long draft is not kept."""
        return {
            "settings": self.settings.to_state(),
            "prompts": list(self.prompts.sent),
            "draft": draft if len(draft) <= _LONGEST_KEPT else "",
        }

    def restore(self, state: Mapping[str, Any]) -> str:
        """Take up what `to_state` told, as far as it is sound; the draft."""
        settings, draft = state.get("settings"), state.get("draft")
        if isinstance(settings, Mapping):
            self.settings = self.settings.with_state(settings)
        self.prompts.restore(state.get("prompts"))
        return draft if isinstance(draft, str) else ""

    def take_asked(self, asked: Mapping[str, Any], category_of: Callable[[str], str]) -> str:
        """What another screen asks for: a version with its category, and the prompt, empty where it names none."""
        version, category, prompt = (asked.get(name) for name in ("version", "category", "prompt"))
        if isinstance(version, str) and version:
            self.settings = replace(self.settings, a=version)
            category = category or category_of(version)
        if isinstance(category, str) and category:
            self.settings = replace(self.settings, category=category)
        return prompt if isinstance(prompt, str) else ""
