"""Writing a version's GGUF files and proving each one, and the Modelfile beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.backends.backend import Message
from core.config import Publish

if TYPE_CHECKING:
    from core.backends.llamacpp import LlamaCppBackend
    from core.release.proof import ProofCheck
    from core.release.quantize import GgufFile

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
) -> Export:
    """Writes a merged model as GGUF files of the given kinds into `folder`, and proves each against the model."""
    from core.release.gguf import export_gguf
    from core.release.proof import prove
    from core.release.quantize import quantize

    whole = export_gguf(model_dir, folder / f"{name}.f16.gguf", kind="f16", name=name)
    files = {"f16": whole}
    for kind in kinds:
        if kind not in files:
            files[kind] = quantize(whole.path, folder / f"{name}.{kind}.gguf", kind)
        note(f"Exported {files[kind].path.name}: {files[kind].bytes / 1e6:.1f} MB.")
    if "f16" not in kinds:
        del files["f16"]
    before_proof()
    checks: list[Mapping[str, Any]] = []
    for kind, file in files.items():
        found = prove(model_dir, file.path, prompts, backend, kind=kind)
        checks += [check_json(check, kind) for check in found]
        for check in found:
            note(f"{'Holds' if check.passed else 'FAILS'}: {kind} {check.name}: {check.detail}")
    if "f16" not in kinds:
        whole.path.unlink()
    return Export(tuple(files.values()), tuple(checks))


def check_json(check: ProofCheck, kind: str) -> dict[str, Any]:
    """A check as it stands in a version's `proof`."""
    values = asdict(check)
    for key in ("figure", "bound"):
        values[key] = float(values[key]) if isfinite(values[key]) else _UNLIKELY
    return {**values, "name": f"{kind}: {check.name}", "kind": kind, "passed": bool(check.passed)}


def modelfile(gguf_name: str, system_prompt: str, publish: Publish) -> str:
    """The Modelfile for `ollama create`: the file beside it, every sampling parameter, the system prompt."""
    lines = [f"FROM ./{gguf_name}"]
    lines += [
        f"PARAMETER {name} {value:g}"
        for name, value in (
            ("temperature", publish.temperature),
            ("top_p", publish.top_p),
            ("top_k", publish.top_k),
            ("repeat_penalty", publish.repeat_penalty),
            ("num_ctx", publish.num_ctx),
            ("num_predict", publish.max_tokens),
        )
    ]
    if system_prompt:
        # Three quotes end the value, so none may stand inside.
        safe = re.sub(r'"{3,}', lambda match: "'" * len(match[0]), system_prompt)
        lines.append(f'SYSTEM """{safe}"""')
    return "\n".join(lines) + "\n"
