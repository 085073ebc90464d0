"""The errors of the product. Each says what happened, why, and what to do next."""

from __future__ import annotations

from storage.errors import BusyError, ConflictError, FinetuneError, NotFoundError, StoreError

__all__ = [
    "BackendError",
    "BusyError",
    "CategoryError",
    "ConfigError",
    "ConflictError",
    "DivergedError",
    "ExportError",
    "FinetuneError",
    "ModelError",
    "NotFoundError",
    "ProofError",
    "RunError",
    "StoreError",
]


class ConfigError(FinetuneError):
    """The configuration file has a fault; the message names the file and the key."""

    default_title = "The configuration has a fault"


class CategoryError(FinetuneError):
    """A category is unknown or wrongly defined."""

    default_title = "Unknown category"


class ModelError(FinetuneError):
    """A base model is missing, incomplete or of a kind that cannot be trained."""

    default_title = "The model cannot be used"


class RunError(FinetuneError):
    """A training run cannot be started, resumed or stopped."""

    default_title = "The run cannot go on"


class DivergedError(RunError):
    """The loss of a training exploded: its settings are bad, the machine is not."""

    default_title = "The training diverged"


class BackendError(FinetuneError):
    """A serving backend is gone, crashed or refused the request."""

    default_title = "The model server failed"


class ExportError(FinetuneError):
    """A model cannot be written as GGUF."""

    default_title = "The export failed"


class ProofError(FinetuneError):
    """A GGUF file does not behave like the model it was made from, or was never proved."""

    default_title = "The model file is not proved"
