"""Exporting a merged model folder as one GGUF file, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from core.errors import ExportError
from core.paths import free_bytes
from core.release.families import FAMILIES, Family, TensorPlan
from core.release.families.plan import integer
from core.release.quantize import GgufFile, quantize
from core.release.vocabulary import GgufTokenizer, read_json, read_tokenizer
from core.release.weights import Weights

if TYPE_CHECKING:
    import numpy.typing as npt

Progress = Callable[[int, int], None]

# `general.file_type` of the file before llama.cpp's last pass over it.
FILE_TYPES = {"F16": 1, "BF16": 32}
ITEM_BYTES = {"F16": 2, "BF16": 2, "F32": 4}
QUANTIZATION_VERSION = 2


def export_gguf(
    model_dir: Path,
    target: Path,
    *,
    kind: str = "f16",
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GgufFile:
    """Write a merged safetensors model as a GGUF file of the given kind (see `quantize.KINDS`).

    Matrices are written as float16, vectors as float32, some rows in memory at a time; the last pass over the file is
    llama.cpp's own, which also checks it. Quantised kinds are made of bfloat16 matrices as they are, without rounding
    them to float16 first. The same folder always gives the same bytes. `name` goes into the file (default: the
    folder's name); `progress(done, total)` counts bytes, `cancelled` is asked while llama.cpp works, and what they
    raise ends the work. The file is there whole or not at all. Raises ExportError where the model cannot be exported,
    with the reason.
    """
    raw = target.with_name(f".{target.name}.raw")
    try:
        write_gguf(model_dir, raw, rounded=kind == "f16", name=name, progress=progress)
        return quantize(raw, target, kind, cancelled=cancelled)
    finally:
        raw.unlink(missing_ok=True)


def write_gguf(
    model_dir: Path, target: Path, *, rounded: bool, name: str | None = None, progress: Progress | None = None
) -> Path:
    """The same without llama.cpp's pass over it, for `quantize` to make the files of: that pass costs as much again.

    With `rounded`, bfloat16 matrices are written as float16. What is there after a failure is removed.
    """
    config = read_json(model_dir / "config.json")
    family = family_in(config)
    if config.get("quantization_config"):
        raise ExportError(
            "The model folder holds quantised weights.", hint="Merge the adapter into the unquantised base model."
        )
    tokenizer = read_tokenizer(model_dir, config, integer(config, "vocab_size"))
    metadata = family.metadata(config)
    done = 0

    def written(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    entries = [
        _Entry(plan, _kept_as(plan, rounded=rounded), written) for plan in family.tensors(config, Weights(model_dir))
    ]
    total = sum(entry.nbytes for entry in entries)
    if free_bytes(target.parent) < 2 * total + (64 << 20):
        raise ExportError(
            f"The export needs {2 * total / 1e9:.1f} GB in {target.parent}, and that much is not free.",
            title="Not enough disk space",
            hint="Free some space or move the home folder to another disk.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        label = name or model_dir.resolve().name
        _write(target, family.architecture, entries, name=label, metadata=metadata, tokenizer=tokenizer)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise ExportError(
            f"{target.name} cannot be written: {error.strerror or error}.",
            hint="Check the free space and the permissions of its folder.",
        ) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def family_in(config: Mapping[str, Any]) -> Family:
    """The family of a config.json. Raises ExportError where it has none."""
    names = config.get("architectures") or ["none"]
    family = FAMILIES.get(str(names[0]))
    if family is None:
        raise ExportError(
            f"Models of the architecture {names[0]} cannot be exported yet.",
            title="Unsupported architecture",
            hint=f"Choose a base model of one of these: {', '.join(sorted(FAMILIES))}.",
        )
    return family


class _Entry:
    """One tensor on its way into the file: the writer asks for its size and has it write itself, block by block."""

    def __init__(self, plan: TensorPlan, kept_as: str, written: Callable[[int], None]) -> None:
        self.plan = plan
        self.kept_as = kept_as
        self.nbytes = ITEM_BYTES[kept_as] * math.prod(plan.shape)
        self._written = written

    def tofile(self, file: BinaryIO) -> None:
        """Write the values at the file's position."""
        for block in self.plan.blocks():
            values = _stored(block, self.kept_as, self.plan.name)
            values.tofile(file)
            self._written(values.nbytes)


def _kept_as(plan: TensorPlan, *, rounded: bool) -> str:
    if plan.full_precision:
        return "F32"
    return "BF16" if plan.stored == "BF16" and not rounded else "F16"


def _write(
    path: Path,
    architecture: str,
    entries: list[_Entry],
    *,
    name: str,
    metadata: Mapping[str, int | float | str],
    tokenizer: GgufTokenizer,
) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES["BF16" if any(entry.kept_as == "BF16" for entry in entries) else "F16"])
    writer.add_quantization_version(QUANTIZATION_VERSION)
    for key, value in metadata.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{architecture}.{key}", value)
    tokenizer.add_to(writer)
    for entry in entries:
        kind = gguf.GGMLQuantizationType[entry.kept_as]
        writer.add_tensor_info(entry.plan.name, entry.plan.shape, np.dtype(np.float16), entry.nbytes, kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for entry in entries:
            writer.write_tensor_data(cast("npt.NDArray[Any]", entry))  # of which it needs the size and `tofile`
    finally:
        writer.close()


def _stored(block: npt.NDArray[Any], kind: str, name: str) -> npt.NDArray[Any]:
    import numpy as np

    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(block, dtype=np.float16 if kind == "F16" else np.float32)
    if not np.isfinite(values).all():
        raise ExportError(
            f"The tensor {name} holds values that are not numbers or too large for float16.",
            title="The weights are damaged",
            hint="The training run diverged; train again with a lower learning rate.",
        )
    if kind == "BF16":  # the values came from bfloat16: their lower halves are zero
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values
