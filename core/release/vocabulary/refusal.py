"""How a tokenizer is refused: always with the reason, never after something was written."""

from __future__ import annotations

from core.errors import ExportError


def refused(why: str) -> ExportError:
    """The error for a tokenizer of a model folder that llama.cpp would read differently."""
    return ExportError(
        f"The tokenizer cannot be exported: {why}.",
        title="Unsupported tokenizer",
        hint="Choose a base model with a supported tokenizer; nothing was written.",
    )


def unreadable(why: str) -> ExportError:
    """The error for a tokenizer in a GGUF file that cannot be rebuilt exactly."""
    return ExportError(
        f"The tokenizer in the file cannot be used for training: {why}.",
        title="Unsupported tokenizer",
        hint="Use the model's Hugging Face folder as the base, or another file of it; nothing was written.",
    )
