"""How hard a request is, before and after an answer to it is known."""

from __future__ import annotations

from typing import Final

_PROMPT_CHARS: Final = 5_000
_CONTEXT_CHARS: Final = 10_000
_TARGET_CHARS: Final = 5_000
_LOSS_SCALE: Final = 3.0


def difficulty(complexity: float, prompt_chars: int, context_chars: int) -> float:
    """The difficulty of a request, 0-1, from what is known before it is answered.

    0.5 × complexity + 0.3 × min(1, prompt_chars / 5000) + 0.2 × min(1, context_chars / 10000);
    `complexity` is the category's, 0-1.
    """
    return (
        0.5 * complexity + 0.3 * min(1.0, prompt_chars / _PROMPT_CHARS) + 0.2 * min(1.0, context_chars / _CONTEXT_CHARS)
    )


def lesson_difficulty(
    complexity: float, *, prompt_chars: int, target_chars: int, score: float | None, base_loss: float | None = None
) -> float:
    """The difficulty of a lesson for the curriculum, 0-1: a low score means that the model finds it hard.

    0.25 × complexity + 0.25 × length + 0.5 × (1 − score / 100), length = min(1, (prompt + target) / 5000 characters),
    an unknown score counting as 50. When the base model's own mean loss on the target is known (nats per token), it
    takes half of the whole as min(1, loss / 3).
    """
    length = min(1.0, (prompt_chars + target_chars) / _TARGET_CHARS)
    missed = 1.0 - (50.0 if score is None else score) / 100.0
    seen = 0.25 * complexity + 0.25 * length + 0.5 * missed
    if base_loss is None:
        return seen
    return 0.5 * seen + 0.5 * min(1.0, max(0.0, base_loss) / _LOSS_SCALE)
