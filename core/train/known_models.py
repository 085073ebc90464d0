"""The base models that are known by name, with what is known of each before it is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.train.chat_templates import CODE_LLAMA, DEEPSEEK_CODER, LLAMA_3, MISTRAL

# Parts of a tag that name a variant which was never taught to chat.
_NO_CHAT: Final = frozenset({"base", "text", "code", "python"})


@dataclass(frozen=True, slots=True)
class Preset:
    """A base model by name: where it comes from, and the part of its config.json that memory depends on.

    hub_id: its repository of the Hugging Face hub. ollama: its name in Ollama's library, empty where it has none.
    settings: training settings that suit this model better than the general defaults, `target_modules` among them where
    not every linear layer should learn. chat_template: stands in where a file or repository of this model carries
    none; empty where there is none to give.
    """

    name: str
    title: str
    hub_id: str
    config: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    ollama: str = ""
    chat_template: str = ""


_SIZES: Final = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)


def _sizes(*values: int, **more: Any) -> dict[str, Any]:
    """Hidden, feed-forward, layers, heads, key-value heads, vocabulary."""
    return {"model_type": "llama", **dict(zip(_SIZES, values, strict=True)), **more}


_QWEN_3: Final[Mapping[str, Any]] = {"model_type": "qwen3", "head_dim": 128, "tie_word_embeddings": True}
_ALL: Final = (
    # Its layers are narrow, so it needs larger steps, and whole batches fit anywhere.
    Preset("demo", "Demonstration model, shipped", "", {}, {"learning_rate": 2e-3, "batch_size": 8, "accumulation": 1}),
    Preset(
        "qwen3-1.7b",
        "Qwen3 1.7B",
        "Qwen/Qwen3-1.7B",
        _sizes(2048, 6144, 28, 16, 8, 151_936, **_QWEN_3),
        ollama="qwen3:1.7b",
    ),
    Preset(
        "llama-3.2-3b",
        "Llama 3.2 3B",
        "meta-llama/Llama-3.2-3B-Instruct",
        _sizes(3072, 8192, 28, 24, 8, 128_256, tie_word_embeddings=True),
        ollama="llama3.2:3b",
        chat_template=LLAMA_3,
    ),
    Preset(
        "qwen3-4b",
        "Qwen3 4B",
        "Qwen/Qwen3-4B",
        _sizes(2560, 9728, 36, 32, 8, 151_936, **_QWEN_3),
        ollama="qwen3:4b",
    ),
    Preset(
        "deepseek-coder-6.7b",
        "DeepSeek-Coder 6.7B",
        "deepseek-ai/deepseek-coder-6.7b-instruct",
        _sizes(4096, 11_008, 32, 32, 32, 32_256),
        ollama="deepseek-coder:6.7b-instruct",
        chat_template=DEEPSEEK_CODER,
    ),
    Preset(
        "codellama-7b",
        "CodeLlama 7B",
        "codellama/CodeLlama-7b-Instruct-hf",
        _sizes(4096, 11_008, 32, 32, 32, 32_016),
        ollama="codellama:7b-instruct",
        chat_template=CODE_LLAMA,
    ),
    Preset(
        "mistral-7b",
        "Mistral 7B",
        "mistralai/Mistral-7B-Instruct-v0.3",
        _sizes(4096, 14_336, 32, 32, 8, 32_768),
        ollama="mistral:7b",
        chat_template=MISTRAL,
    ),
    Preset(
        "mermaidmistral-7b",
        "MermaidMistral 7B",
        "TroyDoesAI/MermaidMistral",
        _sizes(4096, 14_336, 32, 32, 8, 32_000),
        chat_template=MISTRAL,
    ),
    Preset(
        "llama-3-8b",
        "Llama 3 8B",
        "meta-llama/Meta-Llama-3-8B-Instruct",
        _sizes(4096, 14_336, 32, 32, 8, 128_256),
        ollama="llama3:8b",
        chat_template=LLAMA_3,
    ),
)
PRESETS: Final[Mapping[str, Preset]] = {preset.name: preset for preset in _ALL}


def preset_of_ollama(name: str) -> Preset | None:
    """The preset whose model, of whatever size, a name of Ollama's library means; None for variants without chat."""
    from core.backends.ollama_names import parse_name

    wanted = parse_name(name)
    if wanted.short != f"{wanted.model}:{wanted.tag}" or _NO_CHAT & set(wanted.tag.lower().split("-")):
        return None
    same = [one for one in _ALL if one.ollama.partition(":")[0] == wanted.model.lower()]
    return next((one for one in same if one.ollama == wanted.short.lower()), same[0] if same else None)
