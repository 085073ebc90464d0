"""Exporting a merged model folder as one GGUF file, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ExportError
from core.paths import free_bytes
from core.release import gguf_llama
from core.release.gguf_plan import Family, TensorPlan, integer
from core.release.gguf_tokenizer import GgufTokenizer, read_json, read_tokenizer
from core.release.quantize import GgufFile, quantize
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt

Progress = Callable[[int, int], None]

# Architecture named in config.json -> the module that knows it.
FAMILIES: Mapping[str, Family] = {"LlamaForCausalLM": gguf_llama}

F16_FILE_TYPE = 1
QUANTIZATION_VERSION = 2


def export_gguf(
    model_dir: Path, target: Path, *, kind: str = "f16", name: str | None = None, progress: Progress | None = None
) -> GgufFile:
    """Write a merged safetensors model as a GGUF file of the given kind (see `quantize.KINDS`).

    Matrices are written as float16, vectors as float32, one tensor in memory at a time; the last pass over the file is
    llama.cpp's own, which also checks it. The same folder always gives the same bytes. `name` goes into the file
    (default: the folder's name); `progress(done, total)` counts bytes.
    The file is there whole or not at all. Raises ExportError where the model cannot be exported, with the reason.
    """
    config = read_json(model_dir / "config.json")
    family = _family(config)
    if config.get("quantization_config"):
        raise ExportError(
            "The model folder holds quantised weights.", hint="Merge the adapter into the unquantised base model."
        )
    tokenizer = read_tokenizer(model_dir, config, integer(config, "vocab_size"))
    metadata = family.metadata(config)
    plans = list(family.tensors(config, Weights(model_dir)))
    total = sum(_bytes(plan) for plan in plans)
    if free_bytes(target.parent) < 2 * total + (64 << 20):
        raise ExportError(
            f"The export needs {2 * total / 1e9:.1f} GB in {target.parent}, and that much is not free.",
            title="Not enough disk space",
            hint="Free some space or move the home folder to another disk.",
        )
    raw = target.with_name(f".{target.name}.raw")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        label = name or model_dir.resolve().name
        _write(raw, family.architecture, plans, name=label, metadata=metadata, tokenizer=tokenizer, progress=progress)
        return quantize(raw, target, kind)
    except OSError as error:
        raise ExportError(
            f"{target.name} cannot be written: {error.strerror or error}.",
            hint="Check the free space and the permissions of its folder.",
        ) from error
    finally:
        raw.unlink(missing_ok=True)


def _family(config: Mapping[str, Any]) -> Family:
    names = config.get("architectures") or ["none"]
    family = FAMILIES.get(str(names[0]))
    if family is None:
        raise ExportError(
            f"Models of the architecture {names[0]} cannot be exported yet.",
            title="Unsupported architecture",
            hint=f"Choose a base model of one of these: {', '.join(sorted(FAMILIES))}.",
        )
    return family


def _bytes(plan: TensorPlan) -> int:
    items = 1
    for n in plan.shape:
        items *= n
    return items * (4 if plan.full_precision else 2)


def _write(
    path: Path,
    architecture: str,
    plans: list[TensorPlan],
    *,
    name: str,
    metadata: Mapping[str, int | float | str],
    tokenizer: GgufTokenizer,
    progress: Progress | None,
) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(F16_FILE_TYPE)
    writer.add_quantization_version(QUANTIZATION_VERSION)
    for key, value in metadata.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{architecture}.{key}", value)
    _add_tokenizer(writer, tokenizer)
    for plan in plans:
        dtype = np.dtype(np.float32 if plan.full_precision else np.float16)
        writer.add_tensor_info(plan.name, plan.shape, dtype, _bytes(plan))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        done, total = 0, sum(_bytes(plan) for plan in plans)
        for plan in plans:
            writer.write_tensor_data(_values(plan))
            done += _bytes(plan)
            if progress is not None:
                progress(done, total)
    finally:
        writer.close()


def _add_tokenizer(writer: Any, tokenizer: GgufTokenizer) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokenizer.pre)
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(tokenizer.types)
    writer.add_token_merges(tokenizer.merges)
    for add, token in (
        (writer.add_bos_token_id, tokenizer.bos),
        (writer.add_eos_token_id, tokenizer.eos),
        (writer.add_eot_token_id, tokenizer.eot),
        (writer.add_pad_token_id, tokenizer.pad),
    ):
        if token is not None:
            add(token)
    writer.add_add_bos_token(tokenizer.add_bos)
    writer.add_add_eos_token(tokenizer.add_eos)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _values(plan: TensorPlan) -> npt.NDArray[Any]:
    import numpy as np

    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(plan.load(), dtype=np.float32 if plan.full_precision else np.float16)
    if not np.isfinite(values).all():
        raise ExportError(
            f"The tensor {plan.name} holds values that are not numbers or too large for float16.",
            title="The weights are damaged",
            hint="The training run diverged; train again with a lower learning rate.",
        )
    return values
