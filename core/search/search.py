"""The search for hyper-parameters: trial after trial on one frozen dataset, the hopeless ones cut short.

A trial trains an adapter and lets it answer validation prompts; its objective is the mean validator score of these
answers (`core.train.search_space.objective`). The prompts of A/B tests are never looked at, so a search cannot spoil
the test that its winner has to pass; and no trial leaves a version.
"""

from __future__ import annotations

import fcntl
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from core.categories import category
from core.errors import CategoryError, ConflictError, RunError
from core.search.beginning import Beginning
from core.search.defaults import search_base
from core.search.liveness import Heart, Watch, patiently
from core.search.places import opened, place_of
from core.search.process import TrialProcess
from core.search.queue import MOST_FAILURES, bury, retire, try_again
from core.search.sharing import model_name, require_same
from core.search.study import Overview, at_work, done, newest, overview_of, prepare, spec_of, studies
from core.search.travel import from_bytes, from_pieces, frozen, to_bytes
from core.search.tries import Job, Moment, Tries
from core.training import named_base
from storage import runs

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

    from core.loop import LearningLoop

LOCK: Final = "search.lock"
_OWN_FOLDER: Final = re.compile(r"search-\d+-\d+")
_POLL_SECONDS: Final = 0.2
_TEND_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0  # at what others do on a shared search


class Search:
    """Looks for settings of one category on one base model (default: the category's), up to `trials` trials in all.

    A search that was broken off goes on where it was, on the dataset that it was begun on; `fresh` begins another one.
    `seed` (0) and `limit` (of the training examples) hold for a whole search. Trials of a home folder go one at a time,
    also of several searches, and make room for training runs. In a shared `storage` (`core.search.places`; default: the
    configured one) other home folders, here or on other machines, work on the same search at the same time.
    Raises FinetuneError for a category or a storage that does not exist.
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
        storage: str | None = None,
    ) -> None:
        self.loop = loop
        self.place = place_of(loop.home, loop.config.search.storage if storage is None else storage)
        try:
            self.category = category(loop.categories, category_name)
        except CategoryError as error:
            if not self.place.shared:
                raise
            hint = f"Copy [categories.{category_name[:60]}] from the config.toml of the machine that began the search."
            raise CategoryError(error.message, hint=f"{error.hint} {hint}") from error
        wanted = base or self.category.base_model or loop.config.train.base_model
        self.base = search_base(named_base(wanted, loop.home))
        self.trials = trials
        self.seed = seed
        self.limit = limit
        self.fresh = fresh
        self._watch = Watch()
        self._worker = uuid.uuid4().int % 2**32 if self.place.shared else 0

    def run(
        self,
        told: Callable[[Moment], None] = lambda moment: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Overview | None:
        """Works until there are enough trials or `should_stop`; how the search stands then, None before it began.

        KeyboardInterrupt and every other way to end it keep what is done. Raises FinetuneError for a dataset, model or
        settings with which nothing can be trained, and when trials fail in a row.
        """
        failures, reason = 0, ""
        with opened(self.place, bury) as storage:
            study: Study | None = None
            job: Job | None = None
            waiting = False
            while not should_stop():
                with self._turn(told, should_stop) as ours:
                    if not ours:
                        break
                    study = study or self._study(storage, told, should_stop)
                    if study is None:
                        break
                    self._recover(storage, study)
                    if done(study) >= self.trials:
                        break
                    others = at_work(study)
                    if done(study) + others < self.trials:
                        prepare(study, self._worker)
                        job = job or self._job(storage, study)
                        tries = Tries(
                            self.loop,
                            job,
                            trials=self.trials,
                            told=told,
                            should_stop=should_stop,
                            wait_for_runs=self._wait_for_runs,
                        )
                        reason, others = tries.next(), 0
                        failures = failures + 1 if reason else 0
                if failures >= MOST_FAILURES:
                    raise RunError(
                        f"{failures} trials in a row have failed. The last: {reason}",
                        title="The search cannot go on",
                        hint="Mend what it names; the same command goes on from here.",
                    )
                if others and not waiting:
                    told(Moment("waits", None, 0, 0, f"The last trials ({others}) are at work elsewhere."))
                waiting = bool(others)
                _rest(_LOOK_SECONDS if others else 0.0, should_stop)
            return overview_of(study, self.base) if study is not None else None

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

    def _recover(self, storage: BaseStorage, study: Study) -> None:
        """Lets trials whose process is gone be tried again, and removes folders that no trial will go on in."""
        import optuna

        state = optuna.trial.TrialState
        shared = spec_of(study).shared
        if shared is not None:
            patiently(lambda: self._watch.tend(study, retire))
        kept = set()
        for one in [study] if shared else studies(storage):
            if shared is None:  # we have the turn, so nobody is at work on any trial here
                for trial in one.get_trials(deepcopy=False, states=(state.RUNNING,)):
                    try_again(one, trial.number)
            kept |= {
                trial.user_attrs.get("folder") for trial in one.get_trials(deepcopy=False, states=(state.WAITING,))
            }
        ours = _OWN_FOLDER if shared is None else re.compile(rf"search-{re.escape(shared.token)}-\d+")
        for folder in self.loop.home.runs.glob("search-*"):
            if ours.fullmatch(folder.name) and folder.name not in kept:
                TrialProcess(self.loop.home, folder).remove()

    def _study(
        self, storage: BaseStorage, told: Callable[[Moment], None], should_stop: Callable[[], bool]
    ) -> Study | None:
        """The search to go on with, or a new one; None after a wish to stop. Raises ConflictError where it was begun
        otherwise."""
        shared = self.place.shared
        name = model_name(self.base, self.loop.home) if shared else self.base

        def known() -> Study | None:
            return None if self.fresh else newest(storage, self.category.name, name, shared=shared)

        begins = Beginning(self.loop, self.category, self.base, seed=self.seed, limit=self.limit)
        study = known() or begins.study(storage, known, told, should_stop, shared=shared)
        if study is None:
            return None
        spec = spec_of(study)
        for what, wanted, was in (("seed", self.seed, spec.seed), ("limit", self.limit, spec.limit)):
            if wanted is not None and wanted != was:
                raise ConflictError(
                    f"This search was begun with the {what} {was}; trials with another one cannot be compared.",
                    title="Another search",
                    hint=f"Leave the {what} out to go on with it, or begin another one with --fresh.",
                )
        if spec.shared is not None:
            require_same(spec.shared, self.base, self.category, self.loop.home)
        return study

    def _job(self, storage: BaseStorage, study: Study) -> Job:
        """What every trial of the study needs. Raises FinetuneError where its dataset is gone or damaged."""
        spec = spec_of(study, self.base)
        if spec.shared is None:
            data = frozen(self.loop.store, spec.dataset_id or 0)
            return Job(study, spec, to_bytes(data), data, self.loop.config.publish.max_tokens)
        content = from_pieces(study.user_attrs, spec.shared.dataset)
        beats = lambda trial: Heart(storage, trial)  # noqa: E731
        return Job(study, spec, content, from_bytes(content), spec.shared.max_tokens, beats)


def _rest(seconds: float, should_stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not should_stop():
        time.sleep(min(_POLL_SECONDS, seconds))
