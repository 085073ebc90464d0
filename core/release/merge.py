"""Folding a trained adapter into its base model. Runs in the worker process: torch is imported inside."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.errors import ExportError, ModelError
from core.release.merging import MergedTensors
from core.release.safetensors_writing import write_safetensors
from core.release.vocabulary import read_json
from storage.files import flush

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


def merge_adapter(base_dir: Path, adapter_dir: Path, target_dir: Path) -> Path:
    """Write base + adapter as one float16 model folder, and return it.

    The sum is made in float32, tensor by tensor: little more than the largest of them is in memory at a time.
    The tokenizer comes from the adapter's folder where it has one (its tokens may have grown), else from the base.
    Tied embeddings that training drew apart are untied. The folder is there whole or not at all, and an older one of
    that name is replaced. Raises ModelError where the adapter does not fit the base, ExportError where a value does
    not fit float16 or the folder cannot be written.
    """
    tokenizer_dir = adapter_dir if (adapter_dir / "tokenizer.json").is_file() else base_dir
    merged = _merged(base_dir, adapter_dir)
    _check_vocabulary(merged.rows, tokenizer_dir)
    partial = target_dir.with_name(f".{target_dir.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_settings(merged, partial)
        write_safetensors(partial, merged.outlines, merged.values)
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


def _merged(base_dir: Path, adapter_dir: Path) -> MergedTensors:
    try:
        return MergedTensors(base_dir, adapter_dir)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The adapter in {adapter_dir} cannot be merged into {base_dir.name}: {error}",
            hint="Check that the adapter was trained on this base model, and that both folders are complete.",
        ) from error


def _write_settings(merged: MergedTensors, folder: Path) -> None:
    """config.json and generation_config.json."""
    config = merged.config
    config.architectures, config.dtype = [merged.architecture], "float16"
    config.tie_word_embeddings, config.vocab_size = merged.tied, merged.rows
    config.save_pretrained(folder)
    merged.generation_config.save_pretrained(folder)


def _check_vocabulary(rows: int, tokenizer_dir: Path) -> None:
    stored = read_json(tokenizer_dir / "tokenizer.json")
    ids = [*stored["model"]["vocab"].values(), *(added["id"] for added in stored.get("added_tokens", []))]
    if max(ids) >= rows:
        raise ModelError(
            f"The tokenizer has ids up to {max(ids)}, the merged model has embeddings for {rows} tokens.",
            hint="Train again with the tokenizer of the base model, or with resized embeddings saved in the adapter.",
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
