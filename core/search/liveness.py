"""Which trials of a shared search are alive: heartbeats of our own trial, and what has become of the others'.

A database keeps heartbeats by its own clock, as Optuna does it. A journal has none, so there a number in the trial
itself goes up, and is dead for whoever has seen it stand still long enough: clocks of machines are never compared.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from core.errors import StoreError
from core.search import places

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

BEAT: Final = "beat"  # of a trial: a number, or that the database keeps its heartbeat
_BY_DATABASE: Final = "database"
_PATIENCE_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 8.0

Result = TypeVar("Result")


class Heart:
    """Beats for one trial, from a thread of its own, while it is entered.

    `taken` says that the trial is ours no more: others thought us dead, and it has been given to somebody else.
    """

    def __init__(self, storage: BaseStorage, trial: Trial) -> None:
        self._storage = storage
        self._id = trial._trial_id
        self._number = 0
        self._closing = threading.Event()
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"heart of trial {trial.number}", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    @property
    def taken(self) -> bool:
        """Whether the trial has been given to somebody else."""
        return self._taken.is_set()

    def _work(self) -> None:
        try:
            while not self._closing.wait(places.BEAT_SECONDS):
                try:
                    self._beat()
                except faults():
                    continue  # whoever cannot reach the storage may be given up, and hears of it afterwards
        finally:
            _end_session(self._storage)

    def _beat(self) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            if self._storage.get_trial(self._id).state.is_finished():
                self._taken.set()
                return
            self._number += 1
            if not _by_database(self._storage):
                self._storage.set_trial_user_attr(self._id, BEAT, self._number)
                return
            self._storage.record_heartbeat(self._id)  # type: ignore[attr-defined]
            if self._number == 1:
                self._storage.set_trial_user_attr(self._id, BEAT, _BY_DATABASE)
        except UpdateFinishedTrialError:
            self._taken.set()


class Watch:
    """Looks at others' trials again and again, and finds those that are dead."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, float]] = {}

    def tend(self, study: Study, retire: Callable[[Study, FrozenTrial], None]) -> None:
        """Hands dead trials to `retire`; those with a heartbeat in a database to what its storage was opened with."""
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for trial in running:
            if self._dead(trial):
                retire(study, trial)

    def _dead(self, trial: FrozenTrial) -> bool:
        mark, now = trial.user_attrs.get(BEAT), time.monotonic()
        if mark == _BY_DATABASE:
            return False
        known = self._seen.get(trial.number)
        if known is None or known[0] != mark:
            self._seen[trial.number] = mark, now
            return False
        return now - known[1] > places.GRACE_SECONDS


def _by_database(storage: BaseStorage) -> bool:
    return hasattr(storage, "record_heartbeat")


def _end_session(storage: BaseStorage) -> None:
    storage.remove_session()


def faults() -> tuple[type[Exception], ...]:
    """What a storage raises that cannot be reached, or is busy."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return StorageInternalError, SQLAlchemyError, StoreError


def patiently(call: Callable[[], Result]) -> Result:
    """What `call` gives, tried again for about a minute while the storage cannot be reached."""
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.5
    while True:
        try:
            return call()
        except faults():
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 2 * pause)
