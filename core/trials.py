"""What a new version goes through before anybody promotes it: A/B test, figures, re-tests of failures, candidates."""

from __future__ import annotations

import time

from core.capture.candidates import candidate_prompts, generate
from core.capture.record import Recorder
from core.categories import load_categories, loop_of, select_of
from core.errors import BackendError, ConflictError, ExportError
from core.prove.ab import run_ab
from core.prove.evaluate import Examiner, prompts_hash, sampling_of, summarise
from core.prove.retest import retest
from core.release.files import common_kind, gguf_path, serving_kind, version_problem
from core.release.ollama_publish import Help
from core.release.promote import alias_name, announce_ready, serving
from core.release.switch import Switch
from core.run_context import RunContext
from storage import ab_tests, events, runs, totals, versions
from storage.rows import AbTestRow, VersionRow

CANDIDATE_PROMPTS = 20


class Trials:
    """The trials of a registered version of a run; `base` is its untouched base model. Each goes on where it was."""

    def __init__(self, at: RunContext, version: VersionRow, base: VersionRow) -> None:
        self.at = at
        self.version = version
        self.base = base

    def work(self) -> None:
        """All trials. Raises Stopped, or FinetuneError with the next step."""
        test = self._compare()
        if test is not None:
            self._measure(test)
        self._retest()
        self._generate()

    def _compare(self) -> AbTestRow | None:
        """The A/B test against what serves, or against the base before the first promotion."""
        asked = self.at.held_out()
        if not asked:
            self.at.reporter.note("There are no held-out prompts yet, so the version is not compared with anything.")
            return None
        opponent = serving(self.at.store, self.at.config, self.at.run.category) or self.base
        if opponent.id == self.version.id:
            opponent = self.base
        if version_problem(self.at.home, opponent, thorough=False) or not set(opponent.gguf) & set(self.version.gguf):
            self.at.reporter.note(f"{opponent.name} cannot answer, so {self.base.name} takes its place.")
            opponent = self.base
        self.at.stage(
            "testing", f"Comparing {self.version.name} with {opponent.name} on {len(asked)} held-out prompts."
        )
        test = run_ab(
            self.at.store,
            self.at.home,
            self.at.backend,
            opponent,
            self.version,
            category=self.at.category,
            events=asked,
            sampling=sampling_of(self.at.config.publish),
            seed=self.at.settings.seed,
            config=self.at.config,
            progress=lambda done, total: self.at.counted("Both answered", done, total),
        )
        assert test.result is not None
        self.at.reporter.note(str(test.result["summary"]))
        for reason in test.result["reasons"]:
            self.at.reporter.note(f"  {reason}")
        announce_ready(self.at.store, test, now=time.time())
        if loop_of(self.at.category, self.at.config).auto_promote and test.result["verdict"] == "promote":
            self._promote(test)
        return test

    def _promote(self, test: AbTestRow) -> None:
        using = Help(self.at.reporter.note, cancelled=self.at.reporter.should_stop, backend=self.at.backend)
        try:
            Switch(self.at.store, self.at.home, self.at.config).promote(
                self.version.id,
                who="finetune-tui",
                why="auto_promote is on and the A/B test says promote",
                evidence={"test": test.id, "summary": (test.result or {})["summary"]},
                using=using,
            )
        except ConflictError:  # it serves already: the run was resumed after its promotion
            return
        except (BackendError, ExportError) as error:  # what Ollama cannot serve is a version all the same
            self.at.reporter.note(f"{self.version.name} was not promoted: {error.message} {error.hint}".rstrip())
            return
        self.at.reporter.note(f"{alias_name(self.at.config, self.version.category)} serves {self.version.name} now.")

    def _measure(self, test: AbTestRow) -> None:
        """The figures of the new version and of the base on the same prompts, from the test's answers where it can."""
        self.at.stage("evaluating", "Measuring the version and the base on the held-out prompts.")
        pairs = [pair for pair in ab_tests.pairs(self.at.store, test.id) if pair.event_id is not None]
        asked = events.get_many(self.at.store, [pair.event_id for pair in pairs if pair.event_id is not None])
        by_id = {event.id: event for event in asked}
        answered = [(by_id[pair.event_id], pair) for pair in pairs if pair.event_id in by_id]
        common = [text for text, _ in totals.common_responses(self.at.store, self.at.run.category)]
        examiner = Examiner(
            self.at.backend, self.at.category, sampling_of(self.at.config.publish), seed=test.seed, common=common
        )
        prompts = prompts_hash(asked)
        answers = [examiner.scored(event, pair.response_b, pair.tokens_b, pair.latency_b) for event, pair in answered]
        evaluation = summarise(answers, prompts)
        self._keep(self.version.id, evaluation.metrics())
        row = runs.get(self.at.store, self.at.run.id)
        self.at.reporter.step(row.step, row.total_steps, {"score": evaluation.mean_score})
        if versions.get(self.at.store, self.base.id).metrics.get("prompts") == prompts:
            return
        if test.version_a == self.base.id:
            answers = [
                examiner.scored(event, pair.response_a, pair.tokens_a, pair.latency_a) for event, pair in answered
            ]
            self._keep(self.base.id, summarise(answers, prompts).metrics())
            return
        model = str(gguf_path(self.at.home, self.base, common_kind(self.base, self.version)))
        found = examiner.evaluate(model, asked, lambda done, total: self.at.counted("The base answered", done, total))
        self._keep(self.base.id, found.metrics())

    def _retest(self) -> None:
        """The new version answers what models have failed on: what it passes leaves the list of hard negatives."""
        constants = select_of(self.at.category, self.at.config)
        if not constants.hard_negatives:
            return
        self.at.stage("evaluating", "Testing the version on hard negatives.")
        found = retest(
            self.at.store,
            self.at.backend,
            self._model(),
            self.version,
            self.at.category,
            constants=constants,
            sampling=sampling_of(self.at.config.publish),
            seed=self.at.settings.seed,
            progress=lambda done, total: self.at.counted("Hard negatives answered", done, total),
        )
        self.at.reporter.note(found.summary)
        figures = {"hard_tested": found.tested, "hard_solved": found.solved, "hard_failed": found.failed}
        self._keep(self.version.id, {**figures})

    def _generate(self) -> None:
        """Several answers to the prompts that teach most: good ones for the next training, and preference pairs."""
        if not select_of(self.at.category, self.at.config).preferences:
            return
        prompts = candidate_prompts(self.at.store, self.at.config, self.at.category, CANDIDATE_PROMPTS)
        self.at.stage("evaluating", f"Answering {len(prompts)} prompts several times, for preference pairs.")
        recorder = Recorder(self.at.store, self.at.home, self.at.config, load_categories(self.at.home))
        found = generate(
            recorder,
            self.at.backend,
            self._model(),
            prompts,
            name=self.version.name,
            sampling=sampling_of(self.at.config.publish),
            seed=self.at.settings.seed,
            progress=lambda done, total: self.at.counted("Prompts answered", done, total),
        )
        self.at.reporter.note(f"{found.recorded} new answers to {found.answered} prompts, {found.pairs} pairs.")

    def _model(self) -> str:
        return str(gguf_path(self.at.home, self.version, serving_kind(self.version)))

    def _keep(self, version_id: int, figures: dict[str, object]) -> None:
        known = versions.get(self.at.store, version_id).metrics
        versions.update(self.at.store, version_id, metrics={**known, **figures})
