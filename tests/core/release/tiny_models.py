"""Tiny random checkpoints of every family, all their numbers random (norms and biases too), with a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiny_llama import save_tokenizer

COMMON: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "initializer_range": 0.15,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "long_factor": [1.5 + 0.75 * n for n in range(8)],
    "short_factor": [1.0 + 0.0625 * n for n in range(8)],
}
GEMMA_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
}
GEMMA_LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA: Mapping[str, Any] = {"head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 16}

# Name of the model -> its class in transformers, and the settings in which it differs from `COMMON`.
MODELS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "llama": ("Llama", {"head_dim": 24}),
    "llama_tied": ("Llama", {"tie_word_embeddings": True, "rope_parameters": LLAMA3_ROPE}),
    "llama_linear": ("Llama", {"rope_parameters": LINEAR_ROPE}),
    "llama_yarn": ("Llama", {"rope_parameters": YARN_ROPE}),
    "mistral": ("Mistral", {"head_dim": 24, "sliding_window": None}),
    "qwen2": ("Qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}}),
    "qwen2_tied": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2_yarn": ("Qwen2", {"rope_parameters": YARN_ROPE}),
    "qwen3": ("Qwen3", {"head_dim": 24}),
    "qwen3_tied": ("Qwen3", {"head_dim": 24, "tie_word_embeddings": True}),
    "gemma2": ("Gemma2", {**GEMMA, "tie_word_embeddings": True, "attn_logit_softcapping": 4.0}),
    "gemma3": (
        "Gemma3",
        {**GEMMA, "num_hidden_layers": 7, "tie_word_embeddings": True, "rope_parameters": GEMMA_ROPE},
    ),
    "gemma3_untied": (
        "Gemma3",
        {**GEMMA, "num_hidden_layers": 3, "final_logit_softcapping": 3.0, "layer_types": GEMMA_LAYERS},
    ),
    "phi3": ("Phi3", {"num_key_value_heads": 4}),
    "phi3_window": ("Phi3", {"sliding_window": 384}),
    "phi3_tied": ("Phi3", {"tie_word_embeddings": True, "rope_parameters": {"partial_rotary_factor": 0.75}}),
    "phi3_short": ("Phi3", {"original_max_position_embeddings": 512, "rope_parameters": LONG_ROPE}),
    "phi3_long": (
        "Phi3",
        {"original_max_position_embeddings": 8, "max_position_embeddings": 512, "rope_parameters": LONG_ROPE},
    ),
}


def save_model(folder: Path, name: str, **changes: Any) -> Path:
    """A float32 model folder of the kind `name` (of `MODELS`), its embedding padded by 13 rows beyond the tokens."""
    import torch
    import transformers

    tokenizer = save_tokenizer(folder, llama3=True)
    prefix, own = MODELS[name]
    configuration = getattr(transformers, f"{prefix}TextConfig" if prefix == "Gemma3" else f"{prefix}Config")
    ids = {f"{key}_token_id": getattr(tokenizer, f"{key}_token_id") for key in ("bos", "eos", "pad")}
    rows = len(tokenizer) + 13
    torch.manual_seed(0)
    model = getattr(transformers, f"{prefix}ForCausalLM")(
        configuration(**{**COMMON, **ids, "vocab_size": rows, **_copied(own), **changes})
    )
    with torch.no_grad():
        for tensor_name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                centre = 0.0 if prefix.startswith("Gemma") or tensor_name.endswith("bias") else 1.0
                parameter.copy_(centre + 0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, *, scale: float = 0.3, **settings: Any) -> Path:
    """An adapter with random weights on both sides, as after training."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    defaults = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"]}
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **{**defaults, **settings}))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name or "modules_to_save" in name:
            parameter.data += torch.randn_like(parameter) * scale
    adapted.save_pretrained(folder)
    return folder


def _copied(settings: Mapping[str, Any]) -> dict[str, Any]:
    """transformers writes into the rotary settings it is given."""
    import copy

    return copy.deepcopy(dict(settings))
