"""Folding a trained adapter into its base model. Runs in the worker process: torch is imported inside."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from core.errors import ExportError, ModelError
from core.release.reference import quiet
from core.release.vocabulary import read_json
from core.release.weights import Weights
from storage.db import flush

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)
FULL_PRECISION_SHARE = 0.5


def merge_adapter(base_dir: Path, adapter_dir: Path, target_dir: Path) -> Path:
    """Write base + adapter as one float16 model folder, and return it.

    The sum is made in float32 where the model takes at most half of the free memory so, else in the base's own type.
    The tokenizer comes from the adapter's folder where it has one (its tokens may have grown), else from the base.
    Tied embeddings that training drew apart are untied. The folder is there whole or not at all, and an older one of
    that name is replaced. Raises ModelError where the adapter does not fit the base, ExportError where a value does
    not fit float16 or the folder cannot be written.
    """
    tokenizer_dir = adapter_dir if (adapter_dir / "tokenizer.json").is_file() else base_dir
    merged = _merged(base_dir, adapter_dir)
    _untie_if_apart(merged)
    _check_vocabulary(merged, tokenizer_dir)
    _to_half(merged)
    partial = target_dir.with_name(f".{target_dir.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with quiet():
            merged.save_pretrained(partial)
        for name in TOKENIZER_FILES:
            if (tokenizer_dir / name).is_file():
                shutil.copyfile(tokenizer_dir / name, partial / name)
        for file in partial.iterdir():
            flush(file)
        flush(partial)
        _swap(partial, target_dir)
    except OSError as error:
        raise ExportError(
            f"The merged model cannot be written to {target_dir}: {error.strerror or error}.",
            hint="Check the free space and the permissions of its folder.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target_dir


def _merged(base_dir: Path, adapter_dir: Path) -> Any:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    try:
        with quiet():
            base = AutoModelForCausalLM.from_pretrained(
                base_dir, dtype=torch.float32 if _fits_in_float32(base_dir) else "auto", local_files_only=True
            )
            return PeftModel.from_pretrained(base, str(adapter_dir)).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The adapter in {adapter_dir} cannot be merged into {base_dir.name}: {error}",
            hint="Check that the adapter was trained on this base model, and that both folders are complete.",
        ) from error


def _fits_in_float32(base_dir: Path) -> bool:
    import math

    import psutil

    weights = Weights(base_dir)
    needed = 4 * sum(math.prod(weights.shape(name)) for name in weights.names)
    return bool(needed < FULL_PRECISION_SHARE * psutil.virtual_memory().available)


def _untie_if_apart(model: Any) -> None:
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if model.config.tie_word_embeddings and head is not None and not torch.equal(head.weight, embedding.weight):
        model.config.tie_word_embeddings = False


def _check_vocabulary(model: Any, tokenizer_dir: Path) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    model.config.vocab_size = rows
    stored = read_json(tokenizer_dir / "tokenizer.json")
    ids = [*stored["model"]["vocab"].values(), *(added["id"] for added in stored.get("added_tokens", []))]
    if max(ids) >= rows:
        raise ModelError(
            f"The tokenizer has ids up to {max(ids)}, the merged model has embeddings for {rows} tokens.",
            hint="Train again with the tokenizer of the base model, or with resized embeddings saved in the adapter.",
        )


def _to_half(model: Any) -> None:
    import torch

    model.half()
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ExportError(
                f"The merged weight {name} holds values that are not numbers or too large for float16.",
                title="The weights are damaged",
                hint="The training run diverged; train again with a lower learning rate.",
            )


def _swap(partial: Path, target: Path) -> None:
    """Put the finished folder in place; a folder cannot be replaced in one step, so the old one steps aside first."""
    aside = target.with_name(f".{target.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.replace(aside)
    partial.replace(target)
    flush(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
