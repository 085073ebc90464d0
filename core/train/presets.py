"""Base models known by name, and how a name or folder becomes a model that can be trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assets import ASSETS
from core.config import close_names
from core.errors import ModelError
from core.train.base_model import check_model_folder

if TYPE_CHECKING:
    from core.paths import Home

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Preset:
    """A base model by name: where it comes from, and the part of its config.json that memory depends on.

    `settings` are training settings that suit this model better than the general defaults.
    """

    name: str
    title: str
    hub_id: str
    config: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model folder that passed its check. `name` is safe in a file name: lower case, digits, `.`, `_` and `-`."""

    name: str
    title: str
    path: Path


def _preset(name: str, title: str, hub_id: str, *sizes: int, **more: Any) -> Preset:
    """`sizes`: hidden, feed-forward, layers, heads, key-value heads, vocabulary."""
    names = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    return Preset(name, title, hub_id, {"model_type": "llama", **dict(zip(names, sizes, strict=True)), **more})


_ALL: Final = (
    # Its layers are narrow, so it needs larger steps, and whole batches fit anywhere.
    Preset("demo", "Demonstration model, shipped", "", {}, {"learning_rate": 2e-3, "batch_size": 8, "accumulation": 1}),
    _preset(
        *("qwen3-1.7b", "Qwen3 1.7B", "Qwen/Qwen3-1.7B"),
        *(2048, 6144, 28, 16, 8, 151_936),
        model_type="qwen3",
        head_dim=128,
        tie_word_embeddings=True,
    ),
    _preset(
        *("llama-3.2-3b", "Llama 3.2 3B", "meta-llama/Llama-3.2-3B-Instruct"),
        *(3072, 8192, 28, 24, 8, 128_256),
        tie_word_embeddings=True,
    ),
    _preset(
        *("qwen3-4b", "Qwen3 4B", "Qwen/Qwen3-4B"),
        *(2560, 9728, 36, 32, 8, 151_936),
        model_type="qwen3",
        head_dim=128,
        tie_word_embeddings=True,
    ),
    _preset(
        *("deepseek-coder-6.7b", "DeepSeek-Coder 6.7B", "deepseek-ai/deepseek-coder-6.7b-instruct"),
        *(4096, 11_008, 32, 32, 32, 32_256),
    ),
    _preset(
        *("codellama-7b", "CodeLlama 7B", "codellama/CodeLlama-7b-Instruct-hf"),
        *(4096, 11_008, 32, 32, 32, 32_016),
    ),
    _preset(
        *("mistral-7b", "Mistral 7B", "mistralai/Mistral-7B-Instruct-v0.3"),
        *(4096, 14_336, 32, 32, 8, 32_768),
    ),
    _preset(
        *("mermaidmistral-7b", "MermaidMistral 7B", "TroyDoesAI/MermaidMistral"),
        *(4096, 14_336, 32, 32, 8, 32_000),
    ),
    _preset(
        *("llama-3-8b", "Llama 3 8B", "meta-llama/Meta-Llama-3-8B-Instruct"),
        *(4096, 14_336, 32, 32, 8, 128_256),
    ),
)
PRESETS: Final[Mapping[str, Preset]] = {preset.name: preset for preset in _ALL}


def resolve_base(name_or_path: str, home: Home) -> BaseModel:
    """The base model of a preset's name, a folder's path or a Hugging Face id, checked.

    Only this machine is searched: the shipped `demo`, `models/base/<name>` in the home folder, the Hugging Face cache.
    Raises ModelError with the next step when it is missing or broken.
    """
    wanted = name_or_path.strip()
    preset = PRESETS.get(wanted.lower())
    if preset is not None:
        folder = ASSETS / "demo" / "model" if not preset.hub_id else _downloaded(preset.name, preset.hub_id, home)
        base = BaseModel(preset.name, preset.title, folder)
    elif wanted and (path := _existing(wanted)) is not None:
        base = BaseModel(_safe_name(path.name), path.name, path)
    elif _HUB_ID.fullmatch(wanted):
        name = _safe_name(wanted.partition("/")[2])
        base = BaseModel(name, wanted, _downloaded(name, wanted, home))
    else:
        raise ModelError(
            f"{name_or_path!r} is neither a known base model nor a folder.", hint=close_names(wanted, dict(PRESETS))
        )
    check_model_folder(base.path)
    return base


def _existing(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path.resolve() if path.exists() else None
    except (OSError, RuntimeError):  # a name that is too long, or a home folder of nobody
        return None


def _downloaded(name: str, hub_id: str, home: Home) -> Path:
    own = home.models / "base" / name
    if own.is_dir():
        return own
    # The layout of the cache is public: models--<owner>--<name>/refs/main names the folder in snapshots/.
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    try:
        revision = (cached / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        revision = ""
    if re.fullmatch(r"[0-9a-f]{40}", revision) and (cached / "snapshots" / revision).is_dir():
        return cached / "snapshots" / revision
    raise ModelError(
        f"The base model {hub_id} is not on this machine.",
        hint=f"Download it with `hf download {hub_id} --local-dir {own}`, or choose the base model `demo`.",
    )


def _safe_name(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip(".-_") or "model"
