"""One trial of a search: its settings drawn, its process followed, and its end told to the study."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import RunError
from core.search.liveness import Heart, faults, patiently
from core.search.process import TrialProcess
from core.search.queue import finish, give_back, try_again
from core.search.study import Spec, done
from core.search.travel import Frozen
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.presets import resolve_base
from core.train.search_space import improvement, objective, progress_index, suggest
from storage import runs

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial, TrialState

    from core.loop import LearningLoop

_POLL_SECONDS: Final = 0.2

Kind = Literal["waits", "begins", "step", "ends"]
End = Literal["ended", "hopeless", "stopped", "made room", "taken"]
TAKEN: Final = "its heartbeat was missed, so another process has it now"


@dataclass(frozen=True, slots=True)
class Moment:
    """What a search tells, with a sentence for people.

    `trial` is the number of the trial at work, None between two. `done` of `total` are steps of that trial, and trials
    of the search when one ends.
    """

    kind: Kind
    trial: int | None
    done: int
    total: int
    text: str


class Follower:
    """Hears the figures of a trial: reports what it is worth so far, and knows when the pruner has given it up."""

    def __init__(self, trial: Trial, epochs: int) -> None:
        self.trial = trial
        self.hopeless = False
        self.index = 0
        self._epochs = epochs
        self._base_loss: float | None = None
        self._scored = False

    def hear(self, step: int, total: int, values: Mapping[str, float]) -> None:
        """Takes the figures after `step` of `total` steps. A trial at its last step is never given up."""
        loss, score = values.get("eval_loss"), values.get("eval_score")
        if loss is None:
            return
        if self._base_loss is None:
            self._base_loss = loss
        self._scored = self._scored or score is not None
        index = progress_index(step, max(1, total // self._epochs))
        if index <= self.index:  # told before it was stopped and went on
            return
        self.index = index
        worth = objective(score, improvement(loss, self._base_loss))
        patiently(lambda: self.trial.report(worth, index))
        self.hopeless = self.hopeless or (step < total and patiently(self.trial.should_prune))

    def diverged(self) -> None:
        """Reports the worst that a trial can be."""
        self.trial.report(objective(0.0 if self._scored else None, -1.0), self.index + 1)


@dataclass(frozen=True, slots=True)
class Job:
    """The study that trials are done of. `dataset` are the bytes of `data`; `heart` beats for a trial of a shared one,
    and is None where the lock of the home folder tells who is at work."""

    study: Study
    spec: Spec
    dataset: bytes
    data: Frozen
    max_tokens: int
    heart: Callable[[Trial], AbstractContextManager[Heart]] | None = None


class Tries:
    """Tries the next settings of a study; hold the turn of the search meanwhile."""

    def __init__(
        self,
        loop: LearningLoop,
        job: Job,
        *,
        trials: int,
        told: Callable[[Moment], None],
        should_stop: Callable[[], bool],
        wait_for_runs: Callable[[Callable[[Moment], None], Callable[[], bool]], None],
    ) -> None:
        self._loop = loop
        self._job = job
        self._study = job.study
        self._spec = job.spec
        self._trials = trials
        self._told = told
        self._should_stop = should_stop
        self._wait_for_runs = wait_for_runs

    def next(self) -> str:
        """Tries the settings of the next trial; why it failed, or an empty text. Raises FinetuneError to end it all."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna would rather beat for trials itself
            trial = patiently(self._study.ask)
        if self._job.heart is None:
            return self._next(trial, None)
        with self._job.heart(trial) as heart:
            if not self._is_surplus(trial):
                return self._next(trial, heart)
            give_back(self._study, trial)
        return ""

    def _is_surplus(self, trial: Trial) -> bool:
        """Two workers may both see that one trial is still to be done, and begin one each: the later gives way."""
        begun = ("COMPLETE", "PRUNED", "RUNNING")
        earlier = self._study.get_trials(deepcopy=False)[: trial.number]
        return sum(one.state.name in begun for one in earlier) >= self._trials

    def _next(self, trial: Trial, heart: Heart | None) -> str:
        from optuna.exceptions import UpdateFinishedTrialError

        drawn = suggest(trial, self._spec.start)
        # A trial that is tried again goes on in its old folder, from its last checkpoint.
        shared = self._spec.shared
        search = self._study.study_name if shared is None else f"search-{shared.token}"
        name = trial.user_attrs.get("folder") or f"{search}-{trial.number}"
        trial.set_user_attr("folder", name)
        process = TrialProcess(self._loop.home, self._loop.home.runs / name)
        self._told(Moment("begins", trial.number, 0, 0, f"trial {trial.number}: {describe(drawn)}"))
        settings = TrainSettings.from_mapping({**self._spec.settings, **drawn})
        try:
            text, reason = self._tried(trial, settings, process, heart)
        except UpdateFinishedTrialError:
            text, reason = self._taken(process), ""
        except BaseException:
            process.stop()
            with suppress(*faults()):  # what ended it matters more; a trial without a heartbeat is tried again
                try_again(self._study, trial.number)
            raise
        total = patiently(lambda: done(self._study))
        self._told(Moment("ends", trial.number, total, self._trials, f"trial {trial.number}: {text}"))
        return reason

    def _tried(
        self, trial: Trial, settings: TrainSettings, process: TrialProcess, heart: Heart | None
    ) -> tuple[str, str]:
        """One trial to its end: that in words, and why it failed where it did."""
        home = self._loop.home
        check = preflight(resolve_base(self._spec.base, home).path, settings, self._job.data.items, home.runs)
        if check.memory.verdict == "does not fit":
            return self._pruned(trial, process, f"memory: {check.memory.sentence}"), ""
        check.require()
        follower = Follower(trial, settings.epochs)
        while (end := self._follow(process, settings, follower, heart)) == "made room" and not self._should_stop():
            self._wait_for_runs(self._told, self._should_stop)
        result = process.result()
        if end == "taken":
            return self._taken(process), ""
        if end == "hopeless":
            return self._pruned(trial, process, f"worse than the median after {follower.index / 2:g} epochs"), ""
        if result is not None and result["status"] == "finished":
            return self._complete(trial, process, result), ""
        if end != "ended":
            try_again(self._study, trial.number)
            return "broken off; the same command goes on with it", ""
        if result is not None and result["status"] == "diverged":
            follower.diverged()
            return self._pruned(trial, process, result["message"]), ""
        reason = (result or {}).get("message") or process.last_words() or "Its process was gone without a word."
        trial.set_user_attr("note", reason)
        try_again(self._study, trial.number, failed=True)
        return f"failed: {reason}", reason

    def _follow(self, process: TrialProcess, settings: TrainSettings, follower: Follower, heart: Heart | None) -> End:
        """Starts a trial's process and follows it to its end, or to when it has to be stopped."""
        task = {
            "base": self._spec.base,
            "category": self._spec.category,
            "max_tokens": self._job.max_tokens,
            "settings": settings.to_mapping(),
        }
        try:
            process.start(task, self._job.dataset)
        except RunError:  # it died at once; its log says why
            return "ended"
        while True:
            alive = process.alive()  # looked at before the figures, so that the last ones are heard
            for figures in process.figures():
                follower.hear(figures.step, figures.total, figures.values)
                self._told(Moment("step", follower.trial.number, figures.step, figures.total, ""))
            if heart is not None and heart.taken:
                return "taken"
            if not alive:
                return "ended"
            run = runs.active(self._loop.store)
            if follower.hopeless or run is not None or self._should_stop():
                process.stop()
                return "hopeless" if follower.hopeless else "stopped" if run is None else "made room"
            time.sleep(_POLL_SECONDS)

    def _complete(self, trial: Trial, process: TrialProcess, result: Mapping[str, Any]) -> str:
        for name in ("score", "loss", "base_loss", "seconds"):
            self._note(trial, name, result[name])
        value = objective(result["score"], improvement(result["loss"], result["base_loss"]))
        if not finish(self._study, trial.number, value=value):
            return self._taken(process)
        process.remove()
        score = "" if result["score"] is None else f"score {result['score']:.1f}, "
        return f"{score}validation loss {result['base_loss']:.3f} → {result['loss']:.3f}"

    def _pruned(self, trial: Trial, process: TrialProcess, why: str) -> str:
        self._note(trial, "note", why)
        if not finish(self._study, trial.number, state=_pruned_state()):
            return self._taken(process)
        process.remove()
        return f"cut short: {why}"

    def _taken(self, process: TrialProcess) -> str:
        process.stop()
        process.remove()
        return TAKEN

    def _note(self, trial: Trial, name: str, value: Any) -> None:
        patiently(lambda: trial.set_user_attr(name, value))


def _pruned_state() -> TrialState:
    import optuna

    return optuna.trial.TrialState.PRUNED


def describe(settings: Mapping[str, Any]) -> str:
    """Drawn settings in one line."""
    if not settings:
        return ""
    return (
        f"learning rate {settings['learning_rate']:.2e}, batch {settings['batch_size'] * settings['accumulation']}, "
        f"{settings['epochs']} epochs, warm-up {settings['warmup_ratio']:.2f}, r {settings['rank']}, "
        f"alpha {settings['alpha']}"
    )
