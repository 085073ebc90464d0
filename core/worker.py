"""The loop that never sleeps: trains by itself what is due, takes failures up again, cleans up, tells the hooks.

Nothing that matters lives in this process: runs are processes of their own, what is due follows from the store, so that
a worker killed at any point is replaced by starting another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from core import training
from core.capture.retention import clean_up
from core.categories import Category, loop_of
from core.config import Loop
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.next_step import stage
from core.prove.watch import watch_all
from core.release.retention import clean_up_files
from core.serve.trimming import trim_responses
from core.teller import HOOK_SECONDS, Teller, delivered
from core.train.config import QUICK_PROMPTS
from core.train.presets import resolve_base
from core.triggers import decide, fewest_fresh
from core.worker_report import Report, Step, Waiting
from storage import datasets, events, runs, versions
from storage.rows import CategoryCounts, RunRow

POLL_SECONDS: Final = 0.5
BEGIN_SECONDS: Final = 60.0
"""In this time a process that was started has claimed its run, or never will."""
_EVERYTHING: Final = ""
"""Stands for all categories where one is named."""


class Worker:
    """Works for one open store; hold the worker's lock (`core.only_one`) meanwhile.

    `stop` ends it after the step at hand; a run that is at work goes on without it. What was registered with
    `LearningLoop.on` is told of the published events, and so is every configured hook.
    """

    def __init__(self, loop: LearningLoop, *, stop: threading.Event | None = None) -> None:
        self.loop = loop
        self.stop = stop or threading.Event()
        self._seen: dict[str, CategoryCounts] = {}
        self._cleaned_at = float("-inf")
        self._refused_until: dict[str, float] = {}
        self._unsafe_until: dict[str, float] = {}
        self._resumed_at: dict[tuple[int, int], float] = {}

    def run(self, heard: Callable[[Report], None], *, now: Callable[[], float] = time.time) -> None:
        """Looks again whenever the store has changed and settled, and each `check_seconds`, until `stop` is set.

        Hooks are told in a thread of their own, since a slow one may take minutes.
        """
        teller = Teller(self.loop.home, self.stop)
        settle, check = self.loop.config.loop.settle_seconds, self.loop.config.loop.check_seconds
        version, changed_at, looked_at, checked_at = -1, now(), float("-inf"), float("-inf")
        while not self.stop.is_set():
            current, at = self.loop.store.data_version(), now()
            if current != version:
                version, changed_at = current, at
            if at < looked_at:  # the clock was set back
                looked_at = checked_at = changed_at = at
            due = at >= checked_at + check
            did = teller.heard() + [delivered(one) for one in self.loop.callbacks.poll(self.loop.store)]
            if due or (changed_at > looked_at and at >= changed_at + settle) or at >= looked_at + self._patience():
                looked_at = at
                checked_at = at if due else checked_at
                try:
                    report = self.look(now=at, thorough=due)
                except FinetuneError as error:  # the store is busy or its disk is full: that may pass
                    report = Report(at, [Step("refused", f"{error.message} {error.hint}")])
                heard(replace(report, did=did + report.did))
            elif did:
                heard(Report(at, did))
            self.stop.wait(POLL_SECONDS)
        teller.close()

    def look(self, *, now: float, thorough: bool = False) -> Report:
        """Does what is due. With `thorough` every category is gone through, so that each has its reason in full."""
        loop = self.loop
        did = [*self._tend(now), *self._watch(now)]
        waiting: list[Waiting] = []
        for counts in events.category_counts(loop.store, now=now):
            own = loop.categories.get(counts.category)
            if own is None or self.stop.is_set():
                continue
            step = self._advance(own, counts, now, thorough=thorough)
            if isinstance(step, Step):
                did.append(step)
            elif step is not None:
                waiting.append(step)
        if now >= self._cleaned_at + loop.config.loop.check_seconds:
            self._cleaned_at = now
            did.extend(self._clean_up(now))
        return Report(now, did, waiting)

    def _watch(self, now: float) -> list[Step]:
        """Looks at what serves, and says what was rolled back because it does worse than what served before."""
        refused = {name for name, until in self._unsafe_until.items() if until > now}
        did: list[Step] = []
        for acted in watch_all(self.loop, now=now, without=refused):
            category = acted.watch.category
            if acted.problem:
                self._unsafe_until[category] = now + self.loop.config.loop.backoff_seconds
                did.append(Step("refused", f"{category}: {acted.watch.why} {acted.problem}", category))
            elif acted.change is not None:
                again = versions.get(self.loop.store, acted.change.to_version).name
                did.append(Step("rolled back", f"{category}: {again} serves again. {acted.watch.why}", category))
        return did

    def _clean_up(self, now: float) -> list[Step]:
        loop = self.loop
        did = [
            Step("cleaned", f"{one.category}: {sum(one.removed.values())} of {one.before} old events removed",
                 one.category)
            for one in clean_up(loop.store, loop.config, now=now) if one.removed
        ]  # fmt: skip
        for files in clean_up_files(loop.store, loop.home, loop.config, now=now):
            if files.bytes or files.unpublished or files.problem:
                did.append(Step("cleaned", files.in_words(), files.category))
        if trimmed := trim_responses(loop.store, loop.home, now=now):
            did.append(Step("cleaned", f"{trimmed} rows of old answers of the gateway removed; their events stay"))
        return did

    def _tend(self, now: float) -> list[Step]:
        """Looks after the runs that are open: notices those that are gone, starts the one that waits."""
        if self._refused_until.get(_EVERYTHING, 0.0) > now:
            return []
        try:
            lost = self.loop.dispatcher.tend()
        except FinetuneError as error:
            self._refused_until[_EVERYTHING] = now + self.loop.config.loop.backoff_seconds
            return [Step("refused", f"{error.message} {error.hint}")]
        return [
            Step("lost", f"run {run_id} was lost: its process is gone", self.loop.run(run_id).category, run_id)
            for run_id in lost
        ]

    def _patience(self) -> float:
        """Seconds until it looks again without a change: a run may be lost, or one that failed is due."""
        open_runs = runs.active(self.loop.store) is not None or runs.next_queued(self.loop.store) is not None
        return HOOK_SECONDS if open_runs else max(HOOK_SECONDS, self.loop.config.loop.backoff_seconds / 4)

    def _advance(self, own: Category, counts: CategoryCounts, now: float, *, thorough: bool) -> Step | Waiting | None:
        """Takes one category a step further, or says why not."""
        settings = loop_of(own, self.loop.config)

        def waits(text: str) -> Waiting:
            return Waiting(own.name, stage(self.loop.store, self.loop.config, own, counts), text)

        try:
            base = training.named_base(own.base_model, self.loop.home)
            at_work = runs.open_run(self.loop.store, own.name, base)
            if at_work is not None:
                return waits(f"{own.name}: run {at_work.id} is {at_work.status}")
            if not settings.auto_train:
                return waits(f"{own.name}: auto_train is off")
            if self._refused_until.get(own.name, 0.0) > now:
                return waits(f"{own.name}: the last attempt was refused; tried again later")
            newest = runs.newest(self.loop.store, own.name, base)
            if newest is not None and _may_be_retried(newest):
                again = self._retry(newest, settings, now)
                if again is not None:
                    return again if isinstance(again, Step) else waits(again)
            return self._train(own, counts, settings, now, waits=waits, thorough=thorough)
        except FinetuneError as error:
            # What one category lacks (a base model, memory, a valid setting) must not keep the others from training.
            self._refused_until[own.name] = now + settings.backoff_seconds
            return Step("refused", f"{own.name}: {error.message} {error.hint}", own.name)

    def _retry(self, run: RunRow, settings: Loop, now: float) -> Step | str | None:
        """A run that failed is taken up again, with growing pauses; None when it was given up."""
        if run.attempts >= settings.max_attempts or self._is_hopeless(run):
            return None
        due = (run.finished_at or now) + settings.backoff_seconds * 2 ** max(0, run.attempts - 1)
        if now < due:
            return f"{run.category}: run {run.id} {run.status}, attempt {run.attempts}; again in {due - now:.0f} s"
        if now < self._resumed_at.get((run.id, run.attempts), float("-inf")) + BEGIN_SECONDS:
            return f"{run.category}: run {run.id} is about to go on"
        active = runs.active(self.loop.store)
        if active is not None:
            return f"{run.category}: run {run.id} waits for run {active.id}"
        self.loop.resume(run.id)
        self._resumed_at[run.id, run.attempts] = now
        text = f"{run.category}: run {run.id} {run.status} and is taken up again, attempt {run.attempts + 1}"
        return Step("resumed", text, run.category, run.id)

    def _is_hopeless(self, run: RunRow) -> bool:
        """Whether a run made a version that did not pass its proof: the same again would end the same."""
        return run.version_id is not None and not versions.get(self.loop.store, run.version_id).proved

    def _train(
        self,
        own: Category,
        counts: CategoryCounts,
        settings: Loop,
        now: float,
        *,
        waits: Callable[[str], Waiting],
        thorough: bool,
    ) -> Step | Waiting | None:
        from core.select.dataset import describe_eligible, eligible_of

        base = own.base_model
        named = training.named_base(base, self.loop.home)
        unchanged = self._seen.get(own.name) == _without_age(counts)
        if unchanged and not thorough:
            return None
        taken = datasets.taken_event_ids(self.loop.store, own.name, named)
        # Those that were rejected since they were taken are not among the usable ones.
        known = sum(event.tier != "rejected" for event in events.summaries(self.loop.store, list(taken)))
        fresh = counts.gold + counts.silver + counts.bronze - known
        if fresh < fewest_fresh(settings) and not thorough:
            self._seen[own.name] = _without_age(counts)  # what was not due is not due again until something changes
            return waits(f"{own.name}: at most {max(0, fresh)} of {fewest_fresh(settings)} fresh examples")
        found = eligible_of(self.loop.store, self.loop.home, own, now=now, config=self.loop.config)
        decision = decide(training.outlook(self.loop.store, self.loop.home, self.loop.config, own, found), settings)
        summary = describe_eligible(own.name, found)
        if not decision.due:
            self._seen[own.name] = _without_age(counts)
            return waits(f"{summary}; {decision.reason}")
        model = resolve_base(base, self.loop.home)
        start = (
            training.start_of(self.loop.store, self.loop.home, self.loop.config, own.name, model.name)
            if settings.incremental
            else None
        )
        plan = training.Plan(
            own,
            base,
            {} if "ab_prompts" in self.loop.config.train.settings else {"ab_prompts": QUICK_PROMPTS},
            limit=decision.limit,
            start=start,
            origin="adaptive",
        )
        run_id = training.start_run(
            self.loop.store, self.loop.home, self.loop.config, plan, check_stop=self._check_stop, found=found
        )
        self.loop.dispatcher.tend()
        going_on = f", going on from {start.name}" if start else ""
        return Step("started", f"{summary}; run {run_id} with {decision.reason}{going_on}", own.name, run_id)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise FinetuneError("The worker was stopped while it chose a batch.", hint="Start it again.")


def _may_be_retried(run: RunRow) -> bool:
    """A kill was nobody's wish; a failure is taken up again where the worker itself had started the run."""
    return run.status == "lost" or (run.status == "failed" and run.origin == "adaptive")


def _without_age(counts: CategoryCounts) -> CategoryCounts:
    """The counts that only change when something was recorded or judged."""
    return replace(counts, recent=0)
