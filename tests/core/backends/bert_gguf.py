"""A sentence-transformers BERT as a GGUF file, so that llama.cpp and sentence-transformers can be held side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType, TokenType
from safetensors.numpy import load_file

OUTSIDE = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
INSIDE = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def tensor_name(name: str) -> str | None:
    """llama.cpp's name of a tensor; None for those that make no embedding."""
    for ours, theirs in OUTSIDE.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    if name.startswith("encoder.layer."):
        _, _, layer, rest = name.split(".", 3)
        part, _, kind = rest.rpartition(".")
        return f"blk.{layer}.{INSIDE[part]}.{kind}"
    return None


def write_bert(folder: Path, path: Path) -> None:
    """Write the model of `folder` in float32, mean pooling, word pieces with "▁" before each first one."""
    config = json.loads((folder / "config.json").read_text())
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    writer = GGUFWriter(path, "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    special = [word.startswith("[") and word.endswith("]") and len(word) > 2 for word in words]
    writer.add_token_list(
        [
            word if own else word.removeprefix("##") if word.startswith("##") else f"▁{word}"
            for word, own in zip(words, special, strict=True)
        ]
    )
    writer.add_token_types([TokenType.CONTROL if own else TokenType.NORMAL for own in special])
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    for name, values in load_file(folder / "model.safetensors").items():
        theirs = tensor_name(name)
        if theirs is not None:
            writer.add_tensor(theirs, values.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
