"""The search for hyper-parameters: trial after trial on one frozen dataset, the hopeless ones cut short.

A trial trains an adapter and lets it answer validation prompts; its objective is the mean validator score of these
answers (`core.train.search_space.objective`). The prompts of A/B tests are never looked at, so a search cannot spoil
the test that its winner has to pass; and no trial leaves a version.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from core.categories import category
from core.errors import ConflictError, RunError
from core.search.defaults import search_base
from core.search.process import TrialProcess
from core.search.study import Overview, Spec, create, done, newest, open_storage, overview_of, prepare, spec_of, studies
from core.search.tries import MOST_FAILURES, Moment, Tries, try_again
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.presets import resolve_base
from core.training import default_settings, named_base
from storage import datasets, runs

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

    from core.loop import LearningLoop

LOCK: Final = "search.lock"
_POLL_SECONDS: Final = 0.2
_TEND_SECONDS: Final = 5.0


class Search:
    """Looks for settings of one category on one base model (default: the category's), up to `trials` trials in all.

    A search that was broken off goes on where it was, on the dataset that it was begun on; `fresh` begins another one.
    `seed` (0) and `limit` (of the training examples) hold for a whole search. Trials go one at a time, also of several
    searches, and make room for training runs.
    """

    def __init__(
        self,
        loop: LearningLoop,
        category_name: str,
        base: str | None = None,
        *,
        trials: int = 50,
        seed: int | None = None,
        limit: int | None = None,
        fresh: bool = False,
    ) -> None:
        self.loop = loop
        self.category = category(loop.categories, category_name)
        wanted = base or self.category.base_model or loop.config.train.base_model
        self.base = search_base(named_base(wanted, loop.home))
        self.trials = trials
        self.seed = seed
        self.limit = limit
        self.fresh = fresh

    def run(
        self,
        told: Callable[[Moment], None] = lambda moment: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Overview | None:
        """Works until there are enough trials or `should_stop`; how the search stands then, None before it began.

        KeyboardInterrupt and every other way to end it keep what is done. Raises FinetuneError for a dataset, model or
        settings with which nothing can be trained, and when trials fail in a row.
        """
        failures = 0
        with open_storage(self.loop.home) as storage:
            study: Study | None = None
            while not should_stop():
                with self._turn(told, should_stop) as ours:
                    if not ours:
                        break
                    self._recover(storage)
                    study = study or self._study(storage)
                    if done(study) >= self.trials:
                        break
                    prepare(study)
                    tries = Tries(
                        self.loop,
                        study,
                        trials=self.trials,
                        told=told,
                        should_stop=should_stop,
                        wait_for_runs=self._wait_for_runs,
                    )
                    reason = tries.next()
                failures = failures + 1 if reason else 0
                if failures >= MOST_FAILURES:
                    raise RunError(
                        f"{failures} trials in a row have failed. The last: {reason}",
                        title="The search cannot go on",
                        hint="Mend what it names; the same command goes on from here.",
                    )
            return overview_of(study) if study is not None else None

    @contextmanager
    def _turn(self, told: Callable[[Moment], None], should_stop: Callable[[], bool]) -> Iterator[bool]:
        """Holds the lock of the one trial that may be at work in a home, while no run is; False after a wish to stop.

        The system releases the lock when the process ends: whoever holds it knows that no other trial is at work.
        """
        with (self.loop.home.root / LOCK).open("a") as file:
            waited = False
            while not should_stop():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    if not waited:
                        told(Moment("waits", None, 0, 0, "Another search is at work; this one waits for its turn."))
                    waited = True
                    time.sleep(_POLL_SECONDS)
                    continue
                self._wait_for_runs(told, should_stop)
                break
            yield not should_stop()

    def _wait_for_runs(self, told: Callable[[Moment], None], should_stop: Callable[[], bool]) -> None:
        """Returns when no training run is at work, or after a wish to stop."""
        tended, known = float("-inf"), 0
        while (run := runs.active(self.loop.store)) is not None and not should_stop():
            if known != run.id:
                told(Moment("waits", None, 0, 0, f"Run {run.id} is at work; the search goes on when it has ended."))
            known = run.id
            if time.monotonic() > tended + _TEND_SECONDS:
                tended = time.monotonic()
                self.loop.dispatcher.tend()  # the run may be lost, and others may be waiting
            time.sleep(_POLL_SECONDS)

    def _recover(self, storage: RDBStorage) -> None:
        """Lets trials whose process is gone be tried again, and removes folders that no trial will go on in."""
        import optuna

        state = optuna.trial.TrialState
        kept = set()
        for study in studies(storage):
            for trial in study.get_trials(deepcopy=False, states=(state.RUNNING,)):
                try_again(study, trial.number)
            waiting = study.get_trials(deepcopy=False, states=(state.WAITING,))
            kept |= {trial.user_attrs.get("folder") for trial in waiting}
        for folder in self.loop.home.runs.glob("search-*"):
            if folder.name not in kept:
                TrialProcess(self.loop.home, folder).remove()

    def _study(self, storage: RDBStorage) -> Study:
        """The search to go on with, or a new one. Raises ConflictError where it was begun otherwise."""
        study = None if self.fresh else newest(storage, self.category.name, self.base)
        if study is None:
            return create(storage, self._spec())
        spec = spec_of(study)
        for name, wanted, known in (("seed", self.seed, spec.seed), ("limit", self.limit, spec.limit)):
            if wanted is not None and wanted != known:
                raise ConflictError(
                    f"This search was begun with the {name} {known}; trials with another one cannot be compared.",
                    title="Another search",
                    hint=f"Leave the {name} out to go on with it, or begin another one with --fresh.",
                )
        return study

    def _spec(self) -> Spec:
        """Freezes what a new search trains on. Raises FinetuneError where nothing could be trained or compared."""
        loop, seed = self.loop, self.seed or 0
        own = default_settings(loop.store, loop.config, self.category.name, self.base, {"seed": seed})
        wanted = TrainSettings.from_mapping(own)
        dataset_id = self._dataset(seed, wanted.method)
        items = datasets.items(loop.store, dataset_id)
        if not any(item.split == "validation" for item in items):
            raise RunError(
                f"{self.category.name} has no validation examples yet, so trials cannot be compared.",
                title="Nothing to compare on",
                hint="Record and judge more outputs; some of them are held out for this.",
            )
        preflight(resolve_base(self.base, loop.home).path, wanted, items, loop.home.runs).require()
        return Spec(self.category.name, self.base, dataset_id, seed, self.limit, wanted.to_mapping())

    def _dataset(self, seed: int, method: str) -> int:
        from core.select.dataset import freeze
        from core.select.methods.selecting import Wanted, selected

        loop, now = self.loop, time.time()
        wanted = Wanted(method=method, seed=seed, limit=self.limit)
        chosen = selected(loop.store, loop.home, loop.config, self.category, wanted, now=now)
        return freeze(loop.store, chosen, now=now)
