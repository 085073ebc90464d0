"""Writing a version's GGUF files and proving each one, and the Modelfile beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.backends.backend import Message
from core.config import Publish
from core.release.ollama_sent import parameters_of

if TYPE_CHECKING:
    from core.backends.llamacpp import LlamaCppBackend
    from core.release.proof_check import ProofCheck
    from core.release.quantize import GgufFile
    from core.release.task_score import TaskScore

Note = Callable[[str], None]
Prompt = Sequence[Message]
_UNLIKELY = 1e9  # stands for a figure that is infinite or not a number


@dataclass(frozen=True, slots=True)
class Export:
    """Files that lie in a staging folder, and what was proved of them."""

    files: tuple[GgufFile, ...]
    proof: tuple[Mapping[str, Any], ...]

    @property
    def proved(self) -> bool:
        """Whether every check of every file passed."""
        return bool(self.proof) and all(check["passed"] for check in self.proof)


class Watch:
    """Who watches an export; this one does not care.

    `heard` is asked several times a second wherever something may take long; `progress` is told what is being done and
    how much of it is done, in units of its own. What they raise ends the export, and nothing of it is left.
    """

    def heard(self) -> None:
        """Time to end early?"""

    def progress(self, what: str, done: int, total: int) -> None:
        """`done` of `total` parts of `what`."""


def export_and_prove(
    model_dir: Path,
    folder: Path,
    *,
    name: str,
    kinds: Sequence[str],
    prompts: Sequence[Prompt],
    backend: LlamaCppBackend,
    note: Note,
    before_proof: Callable[[], None] = lambda: None,
    watch: Watch | None = None,
    task: TaskScore | None = None,
) -> Export:
    """Writes a merged model as GGUF files of the given kinds into `folder`, and proves each against the model.

    With `task`, every quantised file must also keep the score of the unquantised one.
    """
    from core.release.gguf import write_gguf
    from core.release.proof import prove

    watch = watch or Watch()
    raw = folder / f".{name}.raw"
    try:
        write_gguf(
            model_dir,
            raw,
            rounded="f16" in kinds,
            name=name,
            progress=partial(watch.progress, "Writing the model, bytes"),
        )
        files = _quantized(raw, folder, name, kinds=kinds, watch=watch)
        for file in files.values():
            note(f"Exported {file.path.name}: {file.bytes / 1e6:.1f} MB.")
        before_proof()
        checks: list[Mapping[str, Any]] = []
        for kind, file in files.items():
            proving = partial(watch.progress, f"Proving {kind}, answers")
            found = prove(model_dir, file.path, prompts, backend, kind=kind, progress=proving)
            if task is not None and kind != "f16":
                whole = files["f16"].path if "f16" in files else raw
                scored = task.check(str(file.path), str(whole), partial(watch.progress, f"Scoring {kind}, answers"))
                found += [] if scored is None else [scored]
            checks += [check_json(check, kind) for check in found]
            for check in found:
                note(f"{'Holds' if check.passed else 'FAILS'}: {kind} {check.name}: {check.detail}")
    finally:
        raw.unlink(missing_ok=True)
    return Export(tuple(files.values()), tuple(checks))


def _quantized(raw: Path, folder: Path, name: str, *, kinds: Sequence[str], watch: Watch) -> dict[str, GgufFile]:
    """The files asked for, by kind; where float16 is one of them it takes the place of `raw`, to save the room."""
    from core.release.quantize import quantize

    def cancelled() -> bool:
        watch.heard()
        return False

    files: dict[str, GgufFile] = {}
    for kind in sorted(kinds, key=lambda kind: kind != "f16"):
        files[kind] = quantize(
            files["f16"].path if "f16" in files else raw,
            folder / f"{name}.{kind}.gguf",
            kind,
            cancelled=cancelled,
            progress=partial(watch.progress, f"Quantising {kind}, tensors"),
        )
        if kind == "f16":
            raw.unlink()
    return files


def check_json(check: ProofCheck, kind: str) -> dict[str, Any]:
    """A check as it stands in a version's `proof`."""
    values = asdict(check)
    for key in ("figure", "bound"):
        values[key] = float(values[key]) if isfinite(values[key]) else _UNLIKELY
    return {**values, "name": f"{kind}: {check.name}", "kind": kind, "passed": bool(check.passed)}


def modelfile(gguf_name: str, system_prompt: str, publish: Publish) -> str:
    """The Modelfile for `ollama create`: the file beside it, every sampling parameter, the system prompt. No template:
    the file carries its own."""
    lines = [f"FROM ./{gguf_name}"]
    for name, value in parameters_of(publish).items():
        each = [_quoted(text) for text in value] if isinstance(value, list) else [f"{value:.12g}"]
        lines += [f"PARAMETER {name} {written}" for written in each]
    if system_prompt:
        lines.append(f"SYSTEM {_quoted(system_prompt)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A value of a Modelfile. Three quotes end it, so none may stand inside."""
    safe = re.sub(r'"{3,}', lambda match: "'" * len(match[0]), text)
    return f'"""{safe}"""'
