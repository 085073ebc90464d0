"""Making a model folder of a GGUF file: the way back of the export, for a base model that is only there as GGUF."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ExportError, FinetuneError, ModelError
from core.paths import free_bytes
from core.release.gguf_reading import GgufReading
from core.release.safetensors_writing import Outline, write_safetensors
from storage.files import flush

if TYPE_CHECKING:
    import numpy.typing as npt

    from core.release.families.plan import Family, Source

Progress = Callable[[int, int], None]

_BF16: Final = 30
_RESERVE: Final = 64 << 20
TEMPLATE_KEY: Final = "tokenizer.chat_template"


def import_gguf(
    path: Path, folder: Path, *, chat_template: str | None = None, progress: Progress | None = None
) -> Path:
    """Makes `folder` (which must not be there) a Hugging Face model folder of a GGUF file, and returns it.

    Matrices become float16 (BF16 ones stay bfloat16), vectors float32; one tensor is held in memory at a time.
    `chat_template` stands in where the file has none; `progress(done, total)` counts bytes written.
    The folder is there whole or not at all. Raises ModelError where the file cannot be read rightly, with the reason.
    """
    with GgufReading(path) as reading:
        family = _family(reading)
        fields = _fields(reading, chat_template)
        try:
            config = _config(reading, family)
            sources = list(family.sources(config))
            _check_places(reading, sources)
            _check_space(reading, folder)
            with _whole(folder) as partial:
                _write_config(partial, config, reading)
                _write_tokenizer(fields, partial)
                by_name = {source.hf_name: source for source in sources}
                write_safetensors(
                    partial,
                    [_outline(reading, source) for source in sources],
                    lambda name: _restored(reading, by_name[name]),
                    progress=progress,
                )
        except ExportError as error:  # raised by what serves the export too, with its words
            raise ModelError(error.message, hint=error.hint) from error
        except OSError as error:
            raise ModelError(
                f"The model folder of {path.name} cannot be written: {error.strerror or error}.",
                hint="Check the free space and the permissions of the home folder.",
            ) from error
    return folder


def describe(path: Path) -> dict[str, Any]:
    """config.json as an import would write it, and nothing else done. Raises ModelError as `import_gguf` does."""
    with GgufReading(path) as reading:
        family = _family(reading)
        try:
            return _config(reading, family)
        except ExportError as error:
            raise ModelError(error.message, hint=error.hint) from error


def _family(reading: GgufReading) -> Family:
    from core.release.families import family_of

    fields = reading.fields
    kind = fields.get("general.type", "model")
    if kind != "model":
        what = {"adapter": "an adapter", "mmproj": "the vision part of a model"}.get(str(kind), f"of the kind {kind!r}")
        raise _refused(reading, f"it is {what}, and no language model")
    parts = fields.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise _refused(
            reading,
            f"it is one of {parts} parts",
            hint="Join all parts to one file first: `llama-gguf-split --merge FIRST_PART WHOLE_FILE`.",
        )
    architecture = str(fields.get("general.architecture", ""))
    if int(fields.get(f"{architecture}.expert_count", 0) or 0) > 0:
        raise _refused(reading, "it is a mixture of experts")
    if any(name.startswith(("v.", "mm.")) for name in reading.tensors):
        raise _refused(reading, "it has a vision part")
    try:
        return family_of(architecture)
    except FinetuneError as error:
        raise _refused(reading, f"{error.message}", hint=error.hint) from error


def _config(reading: GgufReading, family: Family) -> dict[str, Any]:
    """config.json: the family reads its own keys without their prefix, all others whole."""
    prefix = f"{family.architecture}."
    fields = {key.removeprefix(prefix): value for key, value in reading.fields.items()}
    try:
        config = family.config_of(fields, _Tensors(reading))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise _refused(reading, f"one of its keys holds what it cannot ({error})") from error
    if int(config["num_hidden_layers"]) > len(reading.tensors):
        raise _refused(reading, "it names more layers than it has tensors")
    return config


class _Tensors(Mapping[str, Any]):
    """The tensors of a file as a mapping, each read when it is asked for."""

    def __init__(self, reading: GgufReading) -> None:
        self._reading = reading

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._reading.values(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._reading.tensors)

    def __len__(self) -> int:
        return len(self._reading.tensors)


def _fields(reading: GgufReading, chat_template: str | None) -> dict[str, Any]:
    own = reading.fields.get(TEMPLATE_KEY)
    if isinstance(own, str) and own.strip():
        return dict(reading.fields)
    if chat_template is None:
        raise _refused(
            reading,
            "it has no chat template, so that a request and its answer cannot be told apart",
            hint="Choose a file of the chat or instruct variant that carries its template.",
        )
    return {**reading.fields, TEMPLATE_KEY: chat_template}


def _check_places(reading: GgufReading, sources: list[Source]) -> None:
    """Every tensor that the model needs is there in its shape, and none is left over."""
    from core.release.families import check_used

    for source in sources:
        tensor = reading.tensors.get(source.gguf_name)
        if tensor is None:
            raise _refused(reading, f"its tensor {source.gguf_name} is missing")
        if tensor.elements != _elements(source.shape) or (
            len(source.shape) == len(tensor.shape) and tensor.shape != source.shape
        ):
            raise _refused(
                reading,
                f"its tensor {source.gguf_name} has the shape {tensor.shape}, not {source.shape} as its keys say",
            )
    check_used(reading.tensors, sources)


def _check_space(reading: GgufReading, folder: Path) -> None:
    needed = 2 * sum(tensor.elements for tensor in reading.tensors.values()) + _RESERVE
    free = free_bytes(folder.parent)
    if free < needed:
        raise ModelError(
            f"Taking {reading.path.name} apart needs {needed / 1e9:.1f} GB in {folder.parent}, and only "
            f"{free / 1e9:.1f} GB are free.",
            title="Not enough disk space",
            hint="Free some space or move the home folder to another disk.",
        )


def _outline(reading: GgufReading, source: Source) -> Outline:
    tensor = reading.tensors[source.gguf_name]
    if len(tensor.shape) < 2:
        return Outline(source.hf_name, "F32", source.shape)
    return Outline(source.hf_name, "BF16" if tensor.type == _BF16 else "F16", source.shape)


def _restored(reading: GgufReading, source: Source) -> npt.NDArray[Any]:
    values = reading.values(source.gguf_name)
    return source.restore(values).astype(values.dtype, copy=False).reshape(source.shape)


def _write_config(folder: Path, config: Mapping[str, Any], reading: GgufReading) -> None:
    halves = any(tensor.type == _BF16 for tensor in reading.tensors.values())
    content = {**config, "dtype": "bfloat16" if halves else "float16"}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_tokenizer(fields: Mapping[str, Any], folder: Path) -> None:
    from core.release.vocabulary import write_tokenizer

    write_tokenizer(fields, folder)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when the block ends well, and is gone when it does not."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.iterdir():
            flush(file)
        flush(partial)
        partial.rename(folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _refused(reading: GgufReading, why: str, hint: str = "") -> ModelError:
    return ModelError(
        f"{reading.path} cannot be trained: {why}.",
        hint=hint or "Choose a GGUF file of a plain text model, such as Llama, Mistral, Qwen, Gemma or Phi.",
    )
