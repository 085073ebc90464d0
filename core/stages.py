"""The stages of a run: train → export and prove → compare with what serves → measure.

Every stage finds out by itself what is done already, so that a resumed run goes on where it was.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.categories import Category, category, load_categories, select_of
from core.config import Config, load_config
from core.errors import ConflictError, ProofError
from core.paths import Home
from core.prove.ab import run_ab
from core.prove.evaluate import Examiner, chat, messages_of, prompts_hash, sampling_of, summarise
from core.prove.retest import retest
from core.release.base_version import base_version
from core.release.export import Export, check_json, export_and_prove
from core.release.files import common_kind, gguf_path, version_problem
from core.release.promote import alias_name, announce_ready, promote, serving
from core.release.registry import Origin, register, staging, version_name, version_of_run
from core.select.held_out import held_out_events
from core.train.config import TrainSettings
from core.train.presets import resolve_base
from core.train.reporter import Reporter
from core.training import adapter_of, require_start
from storage import ab_tests, datasets, events, runs, versions
from storage.db import Store
from storage.rows import AbTestRow, EventRow, RunRow, RunStage, VersionRow

if TYPE_CHECKING:
    from core.train.sft import TrainResult

PROOF_PROMPTS = 40
_NOTES_PER_STAGE = 10


class Stopped(Exception):
    """Somebody asked the run to stop; what is done is kept."""


class Stages:
    """One claimed run and everything that its stages share."""

    def __init__(self, store: Store, home: Home, run: RunRow, reporter: Reporter) -> None:
        self.store = store
        self.home = home
        self.run = run
        self.reporter = reporter
        self.config: Config = load_config(home)
        self.category: Category = category(load_categories(home), run.category)
        self.settings = TrainSettings.from_mapping(run.settings)
        self.base = resolve_base(run.base_model, home)
        self.folder = home.resolve(run.folder)
        self.backend = LlamaCppBackend(num_ctx=self.config.publish.num_ctx, log=self.folder / "llamacpp.txt")

    def work(self) -> VersionRow:
        """All stages; returns the version. Raises Stopped, or FinetuneError with the next step."""
        with self.backend:
            base = self._base()
            version = version_of_run(self.store, self.run.category, self.run.id)
            if version is None:
                version = self._release(base, self._train())
            problem = version_problem(self.home, version)
            if problem is not None:
                raise ProofError(f"{problem}.", hint="This version cannot serve; start a new run.")
            test = self._compare(version, base)
            if test is not None:
                self._measure(version, base, test)
            self._retest(version)
            return versions.get(self.store, version.id)

    def _stage(self, stage: RunStage, text: str) -> None:
        self._check_stop()
        runs.set_stage(self.store, self.run.id, stage)
        self.reporter.note(text)

    def _check_stop(self) -> None:
        if self.reporter.should_stop():
            raise Stopped

    def _counted(self, what: str, done: int, total: int) -> None:
        """Progress of a stage that counts: a stop is heard after each, the log tells a tenth at a time."""
        if done == total or done % max(1, total // _NOTES_PER_STAGE) == 0:
            self.reporter.note(f"{what}: {done} of {total}.")
        if done < total:
            self._check_stop()

    def _base(self) -> VersionRow:
        """Version 0. It comes first, so that a base that cannot be exported fails before hours of training."""
        self._stage("exporting", f"Base model {self.base.name} in {self.base.path}.")
        return base_version(
            self.store,
            self.home,
            self.run.category,
            self.base,
            self.config,
            system_prompt=self.category.system_prompt,
            kinds=self.settings.quantize,
            prompts=self._proof_prompts(),
            backend=self.backend,
            note=self.reporter.note,
        )

    def _train(self) -> TrainResult:
        from core.train.sft import Task, train

        self._stage("training", f"Training for {self.category.title} on dataset {self.run.dataset_id}.")
        result = train(
            Task(
                base=self.base.path,
                train=datasets.items(self.store, self.run.dataset_id, "train"),
                validation=datasets.items(self.store, self.run.dataset_id, "validation"),
                settings=self.settings,
                folder=self.folder,
                resume=True,
                start=self._start(),
            ),
            self.reporter,
        )
        if result.status == "stopped" or result.adapter is None:
            raise Stopped
        losses = f"loss {result.final_loss:.3f}"
        if result.base_loss is not None and result.best_loss is not None:
            losses = f"validation loss {result.base_loss:.3f} → {result.best_loss:.3f} at step {result.best_step}"
        self.reporter.note(f"Trained {result.step} steps in {result.seconds:.0f} s; {losses}.")
        return result

    def _start(self) -> Path | None:
        """The adapter that an incremental run goes on from."""
        if self.run.start_version is None:
            return None
        version = versions.get(self.store, self.run.start_version)
        self.reporter.note(f"Going on from {version.name}.")
        return adapter_of(self.home, require_start(self.home, version, self.run.base_model))

    def _release(self, base: VersionRow, result: TrainResult) -> VersionRow:
        """Adapter → merged float16 folder (removed again) → GGUF files → proof → version."""
        from core.release.merge import merge_adapter
        from core.release.proof import prove_merge

        assert result.adapter is not None
        self._stage("exporting", "Merging the adapter into the base model and exporting it.")
        number = versions.next_number(self.store, self.run.category, self.base.name)
        name = version_name(self.config.general.prefix, self.base.name, self.run.category, number)
        prompts = self._proof_prompts()
        merged = self.folder / "merged"
        try:
            merge_adapter(self.base.path, result.adapter, merged)
            with staging(self.home, self.base.name, self.run.category) as staged:
                shutil.copytree(result.adapter, staged / "adapter")
                export = export_and_prove(
                    merged,
                    staged,
                    name=name,
                    kinds=self.settings.quantize,
                    prompts=prompts,
                    backend=self.backend,
                    note=self.reporter.note,
                    before_proof=lambda: self._stage("proving", "Proving the files against the trained model."),
                )
                self._check_stop()
                merge = prove_merge(self.base.path, result.adapter, merged, self._answered_prompts())
                self.reporter.note(f"{'Holds' if merge.passed else 'FAILS'}: {merge.name}: {merge.detail}")
                export = Export(export.files, (check_json(merge, "merge"), *export.proof))
                origin = Origin(
                    category=self.run.category,
                    base=self.base.name,
                    system_prompt=self.category.system_prompt,
                    run_id=self.run.id,
                    parent_id=self.run.parent_version or base.id,
                    dataset_id=self.run.dataset_id,
                    dataset_hash=datasets.get(self.store, self.run.dataset_id).hash,
                    settings=self.settings.to_mapping(),
                )
                version = register(
                    self.store, self.home, self.config, origin, staged=staged, export=export, number=number
                )
        finally:
            shutil.rmtree(merged, ignore_errors=True)
        figures = {
            "eval_loss": result.best_loss,
            "base_eval_loss": result.base_loss,
            "train_loss": result.final_loss,
            "best_step": result.best_step,
            "train_tokens": result.tokens,
            "train_seconds": round(result.seconds, 1),
        }
        versions.update(self.store, version.id, metrics={k: v for k, v in figures.items() if v is not None})
        self.reporter.note(f"Registered {version.name}, {'proved' if version.proved else 'NOT proved'}.")
        return versions.get(self.store, version.id)

    def _proof_prompts(self) -> list[list[Message]]:
        """Held-out prompts, filled up from the training part where the category is small."""
        chosen = [messages_of(event, self.category) for event in self._held_out()[:PROOF_PROMPTS]]
        for item in datasets.items(self.store, self.run.dataset_id, "train")[: PROOF_PROMPTS - len(chosen)]:
            chosen.append(chat(item.system, item.history, item.prompt))
        return chosen

    def _answered_prompts(self) -> list[list[Message]]:
        items = datasets.items(self.store, self.run.dataset_id, "train")[:PROOF_PROMPTS]
        return [[*chat(item.system, item.history, item.prompt), Message("assistant", item.target)] for item in items]

    def _held_out(self) -> list[EventRow]:
        return held_out_events(
            self.store,
            self.run.category,
            limit=min(self.settings.ab_prompts, self.config.select.max_test),
            held_out_percent=self.config.select.held_out_percent,
        )

    def _compare(self, version: VersionRow, base: VersionRow) -> AbTestRow | None:
        """The A/B test against what serves, or against the base before the first promotion."""
        asked = self._held_out()
        if not asked:
            self.reporter.note("There are no held-out prompts yet, so the version is not compared with anything.")
            return None
        opponent = serving(self.store, self.config, self.run.category) or base
        if opponent.id == version.id:
            opponent = base
        if version_problem(self.home, opponent, thorough=False) or not set(opponent.gguf) & set(version.gguf):
            self.reporter.note(f"{opponent.name} cannot answer, so {base.name} takes its place.")
            opponent = base
        self._stage("testing", f"Comparing {version.name} with {opponent.name} on {len(asked)} held-out prompts.")
        test = run_ab(
            self.store,
            self.home,
            self.backend,
            opponent,
            version,
            category=self.category,
            events=asked,
            sampling=sampling_of(self.config.publish),
            seed=self.settings.seed,
            config=self.config,
            progress=lambda done, total: self._counted("Both answered", done, total),
        )
        assert test.result is not None
        self.reporter.note(str(test.result["summary"]))
        for reason in test.result["reasons"]:
            self.reporter.note(f"  {reason}")
        announce_ready(self.store, test, now=time.time())
        if self.config.loop.auto_promote and test.result["verdict"] == "promote":
            self._promote(version, test)
        return test

    def _promote(self, version: VersionRow, test: AbTestRow) -> None:
        try:
            promote(
                self.store,
                self.home,
                self.config,
                version.id,
                who="finetune-tui",
                why="auto_promote is on and the A/B test says promote",
                evidence={"test": test.id, "summary": (test.result or {})["summary"]},
                now=time.time(),
            )
        except ConflictError:  # it serves already: the run was resumed after its promotion
            return
        self.reporter.note(f"{alias_name(self.config, version.category)} serves {version.name} now.")

    def _measure(self, version: VersionRow, base: VersionRow, test: AbTestRow) -> None:
        """The figures of the new version and of the base on the same prompts, from the test's answers where it can."""
        self._stage("evaluating", "Measuring the version and the base on the held-out prompts.")
        pairs = [pair for pair in ab_tests.pairs(self.store, test.id) if pair.event_id is not None]
        asked = events.get_many(self.store, [pair.event_id for pair in pairs if pair.event_id is not None])
        by_id = {event.id: event for event in asked}
        answered = [(by_id[pair.event_id], pair) for pair in pairs if pair.event_id in by_id]
        common = [text for text, _ in events.common_responses(self.store, self.run.category)]
        examiner = Examiner(
            self.backend, self.category, sampling_of(self.config.publish), seed=test.seed, common=common
        )
        prompts = prompts_hash(asked)
        answers = [examiner.scored(event, pair.response_b, pair.tokens_b, pair.latency_b) for event, pair in answered]
        evaluation = summarise(answers, prompts)
        self._keep(version.id, evaluation.metrics())
        row = runs.get(self.store, self.run.id)
        self.reporter.step(row.step, row.total_steps, {"score": evaluation.mean_score})
        if versions.get(self.store, base.id).metrics.get("prompts") == prompts:
            return
        if test.version_a == base.id:
            answers = [
                examiner.scored(event, pair.response_a, pair.tokens_a, pair.latency_a) for event, pair in answered
            ]
            self._keep(base.id, summarise(answers, prompts).metrics())
            return
        model = str(gguf_path(self.home, base, common_kind(base, version)))
        found = examiner.evaluate(model, asked, lambda done, total: self._counted("The base answered", done, total))
        self._keep(base.id, found.metrics())

    def _retest(self, version: VersionRow) -> None:
        """The new version answers what models have failed on: what it passes leaves the list of hard negatives."""
        constants = select_of(self.category, self.config)
        if not constants.hard_negatives:
            return
        self._stage("evaluating", "Testing the version on hard negatives.")
        found = retest(
            self.store,
            self.backend,
            str(gguf_path(self.home, version, common_kind(version, version))),
            version,
            self.category,
            constants=constants,
            sampling=sampling_of(self.config.publish),
            seed=self.settings.seed,
            progress=lambda done, total: self._counted("Hard negatives answered", done, total),
        )
        self.reporter.note(found.summary)
        self._keep(version.id, {"hard_tested": found.tested, "hard_solved": found.solved, "hard_failed": found.failed})

    def _keep(self, version_id: int, figures: dict[str, object]) -> None:
        known = versions.get(self.store, version_id).metrics
        versions.update(self.store, version_id, metrics={**known, **figures})
