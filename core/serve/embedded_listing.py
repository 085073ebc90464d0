"""What the embedded server tells of its models, as Ollama and OpenAI tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from core.backends.backend import Sampling
from core.errors import ModelError
from core.serve.embedded_models import Described, ServedModel, described
from core.serve.embedded_writing import moment

API_VERSION: Final = "0.12.0"
"""The version of Ollama whose API this is, for clients that look at it before they use what came later."""
_NEVER: Final = "2318-01-01T00:00:00Z"  # models stay until another needs their place
_UNKNOWN: Final = Described("", 0, 0, "", {})


def tags(models: Sequence[ServedModel]) -> Any:
    """GET /api/tags."""
    return {"models": [_listed(model) for model in models]}


def running(models: Sequence[ServedModel], num_ctx: int) -> Any:
    """GET /api/ps."""
    return {
        "models": [
            {
                **_listed(model),
                "expires_at": _NEVER,
                "size_vram": 0,
                "context_length": min(num_ctx, _head(model).context_length or num_ctx),
            }
            for model in models
        ]
    }


def shown(model: ServedModel, defaults: Sampling) -> Any:
    """POST /api/show."""
    head = _head(model)
    parameters = {
        "temperature": f"{defaults.temperature:g}",
        "top_p": f"{defaults.top_p:g}",
        "top_k": str(defaults.top_k),
        "repeat_penalty": f"{defaults.repeat_penalty:g}",
        "num_predict": str(defaults.max_tokens),
    }
    lines = [f"{name:<30} {value}" for name, value in parameters.items()]
    lines += [f'{"stop":<30} "{stop}"' for stop in defaults.stop]
    return {
        "modelfile": "\n".join(
            [f"FROM {model.path.name}", *(f"PARAMETER {name} {value}" for name, value in parameters.items())]
        ),
        "parameters": "\n".join(lines),
        "template": head.template,
        "system": model.system,
        "details": _details(model),
        "model_info": dict(head.fields),
        "capabilities": ["completion", "embedding"],
        "modified_at": moment(model.modified_at),
    }


def openai_models(models: Sequence[ServedModel]) -> Any:
    """GET /v1/models."""
    return {"object": "list", "data": [openai_model(model) for model in models]}


def openai_model(model: ServedModel) -> Any:
    """GET /v1/models/NAME."""
    return {"id": model.name, "object": "model", "created": int(model.modified_at), "owned_by": "finetune-tui"}


def _listed(model: ServedModel) -> dict[str, Any]:
    name = f"{model.name}:latest"
    return {
        "name": name,
        "model": name,
        "modified_at": moment(model.modified_at),
        "size": model.bytes,
        "digest": model.digest,
        "details": _details(model),
    }


def _details(model: ServedModel) -> dict[str, Any]:
    head = _head(model)
    return {
        "parent_model": "",
        "format": "gguf",
        "family": head.family,
        "families": [head.family] if head.family else [],
        "parameter_size": head.parameter_size,
        "quantization_level": model.kind.upper(),
    }


def _head(model: ServedModel) -> Described:
    try:
        return described(model)
    except ModelError:  # it is listed all the same; asking it says what is wrong
        return _UNKNOWN
