"""What a folder must hold to be trained from, checked without loading it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.errors import ModelError

# Architectures that transformers brings itself, so that an `auto_map` in their files is never needed.
_NATIVE: Final = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "gemma3_text", "phi", "phi3"}
)
_MAX_HEADER: Final = 100 * 1024 * 1024
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def check_model_folder(folder: Path) -> None:
    """Raises ModelError, with the next step, when a model cannot be trained from `folder`.

    Checks the configuration, the tokenizer with its chat template, and that every weights file is safetensors, readable
    and as long as its header says. Nothing in the folder is run.
    """
    if folder.is_file():
        raise ModelError(
            f"{folder} is a file, but training needs the model's folder.",
            hint="Name the folder with config.json, tokenizer.json and *.safetensors (for a GGUF: of its original).",
        )
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}.", hint="Check the path, or choose the base model `demo`.")
    config = read_config(folder)
    if "auto_map" in config and config["model_type"] not in _NATIVE:
        raise ModelError(
            f"The model in {folder} needs program code from its own folder, which is never run.",
            hint="Choose a model of a known architecture, for example Llama, Mistral or Qwen.",
        )
    if "quantization_config" in config:
        raise ModelError(
            f"The model in {folder} is already quantised and cannot be merged with what is learned.",
            hint="Choose the unquantised original of the same model.",
        )
    _check_tokenizer(folder)
    _check_weights(folder)


def read_config(folder: Path) -> Mapping[str, Any]:
    """The parsed config.json of a model folder. Raises ModelError when it is missing or damaged."""
    config = _read_json(folder / "config.json", "says how the model is built")
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{folder / 'config.json'} does not name a model type.", hint="Download the model's folder again."
        )
    return config


def weights_bytes(folder: Path) -> int:
    """Size in bytes of the safetensors files of a model folder."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _read_json(path: Path, purpose: str) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} is missing; it {purpose}.", hint="Name a complete model folder, or download it again."
        ) from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", hint="Check the file's permissions.") from error
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}.", hint="Download this file again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is damaged: it is no JSON object.", hint="Download this file again.")
    return content


def _check_tokenizer(folder: Path) -> None:
    if not (folder / "tokenizer.json").is_file() and not (folder / "tokenizer.model").is_file():
        raise ModelError(
            f"{folder} holds no tokenizer (tokenizer.json).", hint="Download the tokenizer's files of the same model."
        )
    settings = _read_json(folder / "tokenizer_config.json", "says how text is tokenised")
    if not settings.get("chat_template") and not (folder / "chat_template.jinja").is_file():
        raise ModelError(
            f"The model in {folder} has no chat template, so that a request and its answer cannot be told apart.",
            hint="Choose its chat or instruct variant.",
        )


def _check_weights(folder: Path) -> None:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        placed = _read_json(index, "lists the weights files").get("weight_map")
        if not isinstance(placed, dict) or not placed:
            raise ModelError(f"{index} is damaged: it has no weight_map.", hint="Download this file again.")
        held = {name: _tensor_names(folder / name) for name in sorted({Path(file).name for file in placed.values()})}
        missing = [tensor for tensor, file in placed.items() if tensor not in held[Path(file).name]]
        if missing:
            raise ModelError(
                f"{folder}: the weight {missing[0]} is not in the file that should hold it.",
                hint="Download the *.safetensors files again.",
            )
    elif single.is_file():
        _tensor_names(single)
    elif any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        raise ModelError(
            f"The weights in {folder} are Python pickles, which can run code and are never loaded.",
            hint="Choose a revision of the model with *.safetensors files.",
        )
    else:
        raise ModelError(f"{folder} holds no weights (model.safetensors).", hint="Download the *.safetensors files.")


def _tensor_names(path: Path) -> set[str]:
    """The tensors of a safetensors file: 8 bytes little-endian header length, JSON header, data."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _MAX_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}.", hint="Download the missing file, or check its permissions."
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error) as error:
        raise ModelError(f"{path} is damaged: {error}.", hint="Download this file again.") from error
    if size != 8 + length + end:
        raise ModelError(
            f"{path} is incomplete: it has {size:,} of {8 + length + end:,} bytes.", hint="Download this file again."
        )
    return set(tensors)
