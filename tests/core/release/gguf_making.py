"""GGUF files of model folders in any type of tensor, written without llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.release.families import FAMILIES
from core.release.vocabulary import read_json, read_tokenizer
from core.release.weights import Weights

LEFT_OUT = object()


def write_gguf(folder: Path, path: Path, kind: str = "F16", *, fields: Mapping[str, Any] | None = None) -> Path:
    """Matrices in the type `kind` (of `gguf.GGMLQuantizationType`), vectors in F32.

    `fields`: key-values added or put in the place of others by whole key; `LEFT_OUT` leaves one out.
    """
    import gguf

    config = read_json(folder / "config.json")
    family = FAMILIES[config["architectures"][0]]
    tokenizer = read_tokenizer(folder, config, config["vocab_size"])
    changes = {"general.type": "model", "general.name": "made", **(fields or {})}
    writer = gguf.GGUFWriter(path, changes.pop("general.architecture", family.architecture))
    tokenizer.add_to(writer)
    for key, value in family.metadata(config).items():
        changes.setdefault(f"{family.architecture}.{key}", value)
    written = writer.kv_data[0]
    for key, value in changes.items():
        written.pop(key, None)
        if value is not LEFT_OUT:
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
            add(key, value)
    ggml = gguf.GGMLQuantizationType[kind]
    for plan in family.tensors(config, Weights(folder)):
        values = np.concatenate([np.asarray(block, np.float32) for block in plan.blocks()]).reshape(plan.shape)
        own = gguf.GGMLQuantizationType.F32 if plan.full_precision else ggml
        writer.add_tensor(plan.name, gguf.quants.quantize(values, own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
