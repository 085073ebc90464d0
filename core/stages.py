"""The stages of a run: train → export and prove → compare with what serves → measure.

Every stage finds out by itself what is done already, so that a resumed run goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assets import ASSETS
from core.backends.backend import Message
from core.errors import ProofError
from core.paths import Home
from core.prove.evaluate import chat, messages_of
from core.prove.forgetting import describe, figures_of, watched_sets
from core.release.base_version import base_version
from core.release.export import Export, Watch, check_json, export_and_prove
from core.release.files import version_problem
from core.release.proof_prompts import PROOF_PROMPTS, proof_prompts
from core.release.registry import Origin, register, staging, version_name, version_of_run
from core.release.task_score import MOST_QUESTIONS, Question, TaskScore
from core.run_context import RunContext
from core.run_scoring import scorer_for
from core.train.preflight import FEW
from core.train.reporter import Reporter, Stopped
from core.training import adapter_of, require_start
from core.trials import Trials
from core.validate.registry import validator_for
from storage import datasets, events, versions
from storage.db import Store
from storage.rows import RunRow, VersionRow

if TYPE_CHECKING:
    from core.train.trainer import TrainResult

SECONDS_BETWEEN_NOTES = 10.0


class ExportWatch(Watch):
    """Hears a stop of the run, and puts into its log how far the export is, not too often."""

    def __init__(self, at: RunContext) -> None:
        self._at = at
        self._noted = time.monotonic()

    def heard(self) -> None:
        self._at.check_stop()

    def progress(self, what: str, done: int, total: int) -> None:
        self._at.check_stop()
        if time.monotonic() - self._noted >= SECONDS_BETWEEN_NOTES:
            self._noted = time.monotonic()
            self._at.reporter.note(f"{what}: {100 * done / max(1, total):.0f} %.")


class Stages:
    """The stages of one claimed run, up to a registered version, and then its trials."""

    def __init__(self, store: Store, home: Home, run: RunRow, reporter: Reporter) -> None:
        self.at = RunContext(store, home, run, reporter)

    def work(self) -> VersionRow:
        """All stages; returns the version. Raises Stopped, or FinetuneError with the next step."""
        with self.at.backend:
            base = self._base()
            version = version_of_run(self.at.store, self.at.run.category, self.at.run.id)
            if version is None:
                version = self._release(base, self._train())
            problem = version_problem(self.at.home, version)
            if problem is not None:
                raise ProofError(f"{problem}.", hint=self._after_failed_proof())
            Trials(self.at, version, base).work()
            return versions.get(self.at.store, version.id)

    def _after_failed_proof(self) -> str:
        learned = len(datasets.items(self.at.store, self.at.run.dataset_id, "train"))
        if learned >= FEW:
            return "This version cannot serve; start a new run."
        examples = "1 example" if learned == 1 else f"{learned} examples"
        return f"It learned from {examples} only: label or record more ({FEW} or more), then start a new run."

    def _base(self) -> VersionRow:
        """Version 0. It comes first, so that a base that cannot be exported fails before hours of training."""
        where = "that ships" if self.at.base.path.is_relative_to(ASSETS) else f"in {self.at.base.path}"
        self.at.stage("exporting", f"Base model {self.at.base.name} {where}.")
        return base_version(
            self.at.store,
            self.at.home,
            self.at.run.category,
            self.at.base,
            self.at.config,
            system_prompt=self.at.category.system_prompt,
            kinds=self.at.settings.quantize,
            prompts=proof_prompts(self.at.store, self.at.category, self.at.held_out(), self.at.run.dataset_id),
            backend=self.at.backend,
            note=self.at.reporter.note,
            watch=ExportWatch(self.at),
        )

    def _train(self) -> TrainResult:
        from core.train.team import team
        from core.train.trainer import Task, train

        self.at.stage("training", f"Training for {self.at.category.title} on dataset {self.at.run.dataset_id}.")
        items = datasets.items(self.at.store, self.at.run.dataset_id, "train")
        watching = datasets.items(self.at.store, self.at.run.dataset_id, "validation")
        task = Task(
            base=self.at.base.path,
            train=items,
            validation=watching,
            settings=self.at.settings,
            folder=self.at.folder,
            resume=True,
            start=self._start(),
            scorer=scorer_for(self.at, [item for item in watching if item.desirable]),
            watched=watched_sets(self.at.store, self.at.run.category, self.at.run.start_version, items),
        )
        with team(self.at.home, self.at.run.base_model, task) as peers:
            result = train(task, self.at.reporter, peers)
        if result.status == "stopped" or result.adapter is None:
            raise Stopped
        losses = f"loss {result.final_loss:.3f}"
        if result.base_loss is not None and result.best_loss is not None:
            losses = f"validation loss {result.base_loss:.3f} → {result.best_loss:.3f}"
        if result.base_score is not None and result.best_score is not None:
            losses += f", score {result.base_score:.0f} → {result.best_score:.0f}"
        early = ", ended early on a plateau" if result.status == "plateau" else ""
        self.at.reporter.note(
            f"Trained {result.step} steps in {result.seconds:.0f} s{early}; best at step {result.best_step}: {losses}."
        )
        if said := describe(figures_of(result.watched)):
            self.at.reporter.note(said)
        return result

    def _start(self) -> Path | None:
        """The adapter that an incremental run goes on from."""
        if self.at.run.start_version is None:
            return None
        version = versions.get(self.at.store, self.at.run.start_version)
        self.at.reporter.note(f"Going on from {version.name}.")
        return adapter_of(self.at.home, require_start(self.at.home, version, self.at.run.base_model))

    def _release(self, base: VersionRow, result: TrainResult) -> VersionRow:
        """Adapter → merged float16 folder (removed again) → GGUF files → proof → version."""
        from core.release.merge import merge_adapter
        from core.release.proof import prove_merge

        assert result.adapter is not None
        self.at.stage("exporting", "Merging the adapter into the base model and exporting it.")
        number = versions.next_number(self.at.store, self.at.run.category, self.at.base.name)
        name = version_name(self.at.config.general.prefix, self.at.base.name, self.at.run.category, number)
        prompts = proof_prompts(self.at.store, self.at.category, self.at.held_out(), self.at.run.dataset_id)
        merged = self.at.folder / "merged"
        try:
            merge_adapter(self.at.base.path, result.adapter, merged)
            with staging(self.at.home, self.at.base.name, self.at.run.category) as staged:
                shutil.copytree(result.adapter, staged / "adapter")
                export = export_and_prove(
                    merged,
                    staged,
                    name=name,
                    kinds=self.at.settings.quantize,
                    prompts=prompts,
                    backend=self.at.backend,
                    note=self.at.reporter.note,
                    before_proof=lambda: self.at.stage("proving", "Proving the files against the trained model."),
                    watch=ExportWatch(self.at),
                    task=self._task_score(),
                )
                self.at.check_stop()
                merge = prove_merge(self.at.base.path, result.adapter, merged, self._answered_prompts())
                self.at.reporter.note(f"{'Holds' if merge.passed else 'FAILS'}: {merge.name}: {merge.detail}")
                export = Export(export.files, (check_json(merge, "merge"), *export.proof))
                origin = Origin(
                    category=self.at.run.category,
                    base=self.at.base.name,
                    system_prompt=self.at.category.system_prompt,
                    run_id=self.at.run.id,
                    parent_id=self.at.run.parent_version or base.id,
                    dataset_id=self.at.run.dataset_id,
                    dataset_hash=datasets.get(self.at.store, self.at.run.dataset_id).hash,
                    settings=self.at.settings.to_mapping(),
                )
                version = register(
                    self.at.store, self.at.home, self.at.config, origin, staged=staged, export=export, number=number
                )
        finally:
            shutil.rmtree(merged, ignore_errors=True)
        figures = {
            "eval_loss": result.best_loss,
            "base_eval_loss": result.base_loss,
            "eval_score": result.best_score,
            "base_eval_score": result.base_score,
            "train_loss": result.final_loss,
            "best_step": result.best_step,
            "train_tokens": result.tokens,
            "train_seconds": round(result.seconds, 1),
            **figures_of(result.watched),
        }
        versions.update(self.at.store, version.id, metrics={k: v for k, v in figures.items() if v is not None})
        self.at.reporter.note(f"Registered {version.name}, {'proved' if version.proved else 'NOT proved'}.")
        return versions.get(self.at.store, version.id)

    def _task_score(self) -> TaskScore:
        """Held-out prompts with what is known of their right answers, filled up from the validation part."""
        asked = self.at.held_out()[:MOST_QUESTIONS]
        questions = [Question(messages_of(event, self.at.category), event.prompt, event.metadata) for event in asked]
        seen = {event.id for event in asked}
        items = datasets.items(self.at.store, self.at.run.dataset_id, "validation")
        known = {row.id: row.metadata for row in events.get_many(self.at.store, [item.event_id for item in items])}
        for item in items:
            if item.event_id not in seen:
                chat_of = chat(item.system, item.history, item.prompt)
                questions.append(Question(chat_of, item.prompt, known.get(item.event_id, {})))
        return TaskScore(
            self.at.backend,
            validator_for(self.at.category),
            questions[:MOST_QUESTIONS],
            max_tokens=self.at.config.publish.max_tokens,
        )

    def _answered_prompts(self) -> list[list[Message]]:
        items = datasets.items(self.at.store, self.at.run.dataset_id, "train")[:PROOF_PROMPTS]
        return [[*chat(item.system, item.history, item.prompt), Message("assistant", item.target)] for item in items]
