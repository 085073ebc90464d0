"""The loop, tied together: everything that a script or a front end needs of the product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core import next_step as advice
from core import statistics, training
from core.capture.import_rows import Counts, ImportOptions
from core.capture.record import Recorded, Recorder
from core.categories import Category, category, load_categories
from core.checks import Check
from core.config import load_config
from core.dispatch import Dispatcher
from core.doctor import examine
from core.hooks.callbacks import Callback, Callbacks
from core.hooks.delivery import deliver_due
from core.hooks.message import Delivery
from core.loop_versions import LoopVersions
from core.paths import Home, locate_home
from core.release import promote as release
from core.release import registry
from core.release.ollama_serving import catch_up
from core.select.own_reward import reward_function
from core.train.config import configured
from core.train.launch import tail_log
from storage import events, metrics, runs
from storage.db import open_store
from storage.rows import CategoryCounts, RunRow

if TYPE_CHECKING:
    from core.capture.importing import ImportReport
    from core.explain import Explanation
    from core.share.export import ExportReport
    from core.train.rehearsal import RunCheck

# Homes whose aliases and files this process has brought to one truth; once is enough, since only a kill breaks it.
_RECONCILED: set[Path] = set()


class LearningLoop(LoopVersions):
    """Feedback in, better versions out. Use it as a context manager, in one thread.

    home: the folder of everything, or its path; None finds it as the command line does.
    """

    def __init__(self, home: Home | Path | None = None) -> None:
        self.home = home if isinstance(home, Home) else locate_home(home)
        self.home.ensure()
        self.config = load_config(self.home)
        self.categories = load_categories(self.home)
        self.store = open_store(self.home.store)
        self.recorder = Recorder(self.store, self.home, self.config, self.categories)
        self.dispatcher = Dispatcher(self.store, self.home)
        self.callbacks = Callbacks()
        self._counted: tuple[tuple[int, int], dict[str, CategoryCounts]] | None = None
        if self.home.root not in _RECONCILED:
            release.reconcile(self.store, self.home, self.config, now=time.time())
            catch_up(self.store, self.home, self.config)
            _RECONCILED.add(self.home.root)

    def close(self) -> None:
        """Closes the store; runs go on, they are processes of their own."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- events

    def on(self, event: str, callback: Callback) -> None:
        """Has `callback(message)` called for one of the published events (or all, with `*`) from now on.

        It is called in this thread, by `tell` or by a worker that works for this loop. Raises ConfigError for an event
        that is none.
        """
        self.callbacks.on(self.store, event, callback)

    def tell(self) -> list[Delivery]:
        """Calls the callbacks for what has happened since, and delivers what the configured hooks are owed."""
        return deliver_due(self.store, self.home, callbacks=self.callbacks)

    # -- feedback

    def record_feedback(
        self, prompt: str, response: str, category: str, model: str, score: float | None = None, **more: Any
    ) -> Recorded:
        """Stores one output with what is known of it; the rest of the arguments are those of `Recorder.record`."""
        return self.recorder.record(
            prompt=prompt, response=response, category=category, model=model, score=score, **more
        )

    def record_many(self, rows: Iterable[Mapping[str, Any]]) -> list[Recorded]:
        """Stores many, all or none."""
        return self.recorder.record_many(rows)

    def import_file(
        self, path: Path, *, progress: Callable[[Counts, str], None] | None = None, **options: Any
    ) -> ImportReport:
        """Imports a file or folder of feedback; `options` are those of `core.capture.import_rows.ImportOptions`.

        A row that cannot be taken never stops it: the report counts every row. Raises FinetuneError when nothing at
        `path` can be read.
        """
        from core.capture.importing import Importer

        return Importer(self.recorder).run(Path(path), ImportOptions(**options), progress=progress)

    def export_dataset(self, target: Path, format_name: str = "trl-sft", **choice: Any) -> ExportReport:
        """Writes a dataset for another tool; `choice` holds the filters of `core.share.choose.Choice`."""
        from core.share.choose import Choice
        from core.share.export import export

        return export(
            self.store, self.config, self.categories, Path(target), format_name=format_name, choice=Choice(**choice)
        )

    def explain(self, event_id: int) -> Explanation:
        """Why an output counts as it does, and whether the next training takes it. Raises NotFoundError."""
        from core.explain import explain

        return explain(self.store, self.home, self.config, self.categories, event_id)

    # -- runs

    def start_run(
        self,
        category_name: str,
        *,
        base: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        limit: int | None = None,
        start: str | None = None,
        background: bool = True,
        hold: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> int:
        """Freezes a dataset, queues a run on it and starts its process unless another run is at work; the run's id.

        `base` is a preset's name, a folder, a GGUF file or `ollama:NAME`, else the category's own, else the general
        default. What Ollama holds is made ready first, which may take minutes: `note` hears of it. `settings` are laid
        over the configured ones. `start` names the version that the run goes on from instead of a fresh adapter. With
        `background=False` the call returns when the run has ended. With `hold` nobody starts it: it waits until it is
        resumed, or launched by other means.
        Raises FinetuneError, before anything is queued, for what could not end well.
        """
        plan = self._plan(category_name, base, settings, seed=seed, limit=limit, start=start)
        plan = replace(plan, hold=hold)
        run_id = training.start_run(self.store, self.home, self.config, plan, note=note)
        self.dispatcher.tend()
        if not background and not hold:
            self.wait(run_id)
        return run_id

    def check_run(
        self,
        category_name: str,
        *,
        base: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        limit: int | None = None,
        start: str | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> RunCheck:
        """What `start_run` with these arguments would begin, after one step of it in a process of its own.

        Nothing is queued or kept. Raises FinetuneError as `start_run` does, and where the step fails.
        """
        from core.train.rehearsal import rehearse_run

        plan = self._plan(category_name, base, settings, seed=seed, limit=limit, start=start)
        return rehearse_run(self.home, training.prepare(self.store, self.home, self.config, plan, note=note), plan)

    def _plan(
        self,
        category_name: str,
        base: str | None,
        settings: Mapping[str, Any] | None,
        *,
        seed: int,
        limit: int | None,
        start: str | None,
    ) -> training.Plan:
        chosen = category(self.categories, category_name)
        named = base or chosen.base_model or self.config.train.base_model
        older = training.require_start(self.home, registry.find(self.store, start), named) if start else None
        return training.Plan(chosen, named, settings or {}, seed=seed, limit=limit, start=older)

    def default_settings(self, base: str, category_name: str | None = None) -> dict[str, Any]:
        """The settings that a run on a base model starts with, by name: the configured ones, and for a category over
        them those that a search has found and somebody has applied."""
        if category_name is None:
            return configured(self.config, base)
        named = training.named_base(base, self.home)
        return training.default_settings(self.store, self.config, category_name, named)

    def resume(self, run_id: int) -> None:
        """Lets a stopped, failed or lost run go on. Raises RunError while it runs and when it is finished."""
        self.dispatcher.resume(run_id)

    def stop(self, run_id: int) -> None:
        """Asks a run to save and end at its next step. Raises ConflictError when it has ended."""
        runs.request_stop(self.store, run_id)

    def wait(self, run_id: int, on_progress: Callable[[RunRow], None] | None = None) -> RunRow:
        """Returns the run when it has ended, however that was; `on_progress` gets its row some times a second.

        Raises RunError when its process ends before it begins with the run.
        """
        return self.dispatcher.wait(run_id, on_progress)

    def runs(self, category_name: str | None = None) -> list[RunRow]:
        """The newest runs, newest first."""
        return runs.list_runs(self.store, category=category_name)

    def run(self, run_id: int) -> RunRow:
        """One run. Raises NotFoundError."""
        return runs.get(self.store, run_id)

    def latest_metrics(self, run_id: int) -> dict[str, float]:
        """The last value of each figure of a run."""
        return metrics.latest(self.store, run_id)

    def log(self, run_id: int, lines: int = 50) -> list[str]:
        """The end of a run's log."""
        return list(tail_log(self.home, runs.get(self.store, run_id), lines))

    # -- where it stands

    def stats(self) -> Mapping[str, Any]:
        """The figures of everything, as JSON values."""
        return statistics.figures(
            self.store,
            self.config,
            self.categories,
            now=time.time(),
            next_step=self.next_step,
            own_reward=lambda own: reward_function(own, self.home),
        )

    def next_step(self, category_name: str) -> str:
        """What to do next for a category, in one sentence."""
        key = (self.store.data_version(), self.store.connection.total_changes)
        if self._counted is None or self._counted[0] != key:
            found = events.category_counts(self.store, now=time.time())
            self._counted = key, {one.category: one for one in found}
        own = self.categories.get(category_name) or Category(category_name, category_name)
        return advice.next_step(self.store, self.config, own, self._counted[1].get(category_name)).text

    def doctor(self) -> list[Check]:
        """Whether everything stands, with a hint where it does not."""
        return examine(self.home)
