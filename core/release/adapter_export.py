"""A version's adapter as a GGUF file of its own, proved on the base model's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.categories import Category, category
from core.config import Config
from core.errors import BackendError, ExportError, ProofError
from core.paths import Home
from core.release.files import file_problem, gguf_path
from core.release.proof_bounds import BOUNDS
from core.release.proof_check import ProofCheck
from core.release.proof_prompts import PROOF_PROMPTS, proof_prompts
from core.release.registry import base_of
from core.select.held_out import held_out_events
from core.train.presets import resolve_base
from core.training import adapter_of
from storage.db import Store
from storage.rows import VersionRow

if TYPE_CHECKING:
    from core.backends.backend import Message
    from core.backends.llamacpp import LlamaCppBackend
    from core.release.quantize import GgufFile

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """A written adapter, the base model's file that it was proved on, and how."""

    file: GgufFile
    base_file: Path
    checks: tuple[ProofCheck, ...]


def export_version_adapter(
    store: Store,
    home: Home,
    version: VersionRow,
    target: Path,
    *,
    config: Config,
    categories: Mapping[str, Category],
    backend: LlamaCppBackend,
    progress: Progress | None = None,
) -> AdapterFile:
    """Write the adapter of a version as the GGUF file `target`, and prove that the base with it is the trained model.

    The base is the most precise file of version 0. `progress(done, total)` counts answers of the proof. An adapter that
    fails its proof is removed again. Raises ExportError where there is no adapter or llama.cpp cannot run it,
    ProofError where it does not behave like the trained model.
    """
    from core.release.adapter_gguf import export_adapter

    adapter = adapter_of(home, version)
    if version.number == 0 or not adapter.is_file():
        raise ExportError(
            f"{version.name} has no adapter.",
            title="Nothing to export",
            hint="Only trained versions have one; `finetune-tui models` lists them.",
        )
    if target.exists():
        raise ExportError(f"{target} is there already.", hint="Give the file another name, or remove that one.")
    kind, base_file = _base_file(store, home, version)
    base = resolve_base(version.base_model, home)
    percent = config.select.held_out_percent
    asked = held_out_events(store, version.category, limit=PROOF_PROMPTS, held_out_percent=percent)
    prompts = proof_prompts(store, category(categories, version.category), asked, version.dataset_id)
    made = export_adapter(base.path, adapter.parent, target, name=version.name)
    try:
        checks = prove_adapter(
            base.path, adapter.parent, base_file, target, prompts=prompts, backend=backend, kind=kind, progress=progress
        )
        failed = [check for check in checks if not check.passed]
        if failed:
            raise ProofError(
                f"{base_file.name} with the adapter does not behave like {version.name}: "
                + "; ".join(f"{check.name}: {check.detail}" for check in failed),
                hint="The file was removed again. Use the version's own GGUF files.",
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return AdapterFile(made, base_file, tuple(checks))


def prove_adapter(
    base_dir: Path,
    adapter_dir: Path,
    base_file: Path,
    adapter_file: Path,
    *,
    prompts: Sequence[Sequence[Message]],
    backend: LlamaCppBackend,
    kind: str,
    progress: Progress | None = None,
) -> list[ProofCheck]:
    """Compare the base's GGUF file (of that `kind`) with the adapter on it with base + adapter in Hugging Face.

    Raises ProofError where no prompt leaves room for an answer, ModelError where base and adapter cannot be loaded.
    """
    from core.backends.llamacpp_adapter import with_adapter
    from core.release.proof import answer_checks
    from core.release.proof_answers import Answers
    from core.release.proof_gates import whole_file
    from core.release.reference import Reference

    whole = whole_file(adapter_file)
    if not whole.passed:
        return [whole]
    model, bounds = with_adapter(base_file, adapter_file), BOUNDS[kind]
    reference = Reference(base_dir, adapter_dir)
    try:
        rows = backend.special_tokens(model)["vocabulary"]
    except BackendError as error:
        return [whole, ProofCheck("loads", False, 1, 0, error.message)]
    if rows != reference.vocabulary:
        detail = f"the base's file has {rows} rows, the model {reference.vocabulary}: it is not its base"
        return [whole, ProofCheck("vocabulary", False, 1, 0, detail)]
    loads = ProofCheck("loads", True, 0, 0, "llama.cpp puts the adapter on the base")
    answers = Answers(reference, backend, model, bounds.near_tie)
    answers.run(prompts, progress)
    return [whole, loads, *answer_checks(answers, bounds)]


def _base_file(store: Store, home: Home, version: VersionRow) -> tuple[str, Path]:
    """Kind and place of the most precise file of the base that is whole."""
    base = base_of(store, version.category, version.base_model)
    kinds = [kind for kind in BOUNDS if base is not None and kind in base.gguf]
    for kind in kinds:
        assert base is not None
        if file_problem(home, base, kind, thorough=False) is None:
            return kind, gguf_path(home, base, kind)
    raise ExportError(
        f"There is no GGUF file of the base model {version.base_model} to prove the adapter on.",
        hint=f"The next run of {version.category} makes it anew.",
    )
