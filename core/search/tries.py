"""One trial of a search: its settings drawn, its process followed, and its end told to the study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import RunError
from core.search.process import TrialProcess
from core.search.study import done, spec_of
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.presets import resolve_base
from core.train.search_space import improvement, objective, progress_index, suggest
from storage import datasets, runs

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

    from core.loop import LearningLoop

DIVERGED: Final = "The training diverged"  # the title of that error: such settings are bad, the machine is not
MOST_FAILURES: Final = 2  # of one trial, and of trials in a row
_POLL_SECONDS: Final = 0.2

Kind = Literal["waits", "begins", "step", "ends"]
End = Literal["ended", "hopeless", "stopped", "made room"]


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
    """Hears the figures of a trial: reports its validation losses, and knows when the pruner has given it up."""

    def __init__(self, trial: Trial, epochs: int) -> None:
        self.trial = trial
        self.hopeless = False
        self.index = 0
        self._epochs = epochs
        self._base_loss: float | None = None

    def hear(self, step: int, total: int, values: Mapping[str, float]) -> None:
        """Takes the figures after `step` of `total` steps. A trial at its last step is never given up."""
        loss = values.get("eval_loss")
        if loss is None:
            return
        if self._base_loss is None:
            self._base_loss = loss
        index = progress_index(step, max(1, total // self._epochs))
        if index <= self.index:  # told before it was stopped and went on
            return
        self.index = index
        self.trial.report(improvement(loss, self._base_loss), index)
        self.hopeless = self.hopeless or (step < total and self.trial.should_prune())


class Tries:
    """Tries the next settings of a study; hold the turn of the search meanwhile."""

    def __init__(
        self,
        loop: LearningLoop,
        study: Study,
        *,
        trials: int,
        told: Callable[[Moment], None],
        should_stop: Callable[[], bool],
        wait_for_runs: Callable[[Callable[[Moment], None], Callable[[], bool]], None],
    ) -> None:
        self._loop = loop
        self._study = study
        self._spec = spec_of(study)
        self._trials = trials
        self._told = told
        self._should_stop = should_stop
        self._wait_for_runs = wait_for_runs

    def next(self) -> str:
        """Tries the settings of the next trial; why it failed, or an empty text. Raises FinetuneError to end it all."""
        trial = self._study.ask()
        drawn = suggest(trial, self._spec.start)
        # A trial that is tried again goes on in its old folder, from its last checkpoint.
        name = trial.user_attrs.get("folder") or f"{self._study.study_name}-{trial.number}"
        trial.set_user_attr("folder", name)
        process = TrialProcess(self._loop.home, self._loop.home.runs / name)
        self._told(Moment("begins", trial.number, 0, 0, f"trial {trial.number}: {describe(drawn)}"))
        try:
            text, reason = self._tried(trial, TrainSettings.from_mapping({**self._spec.settings, **drawn}), process)
        except BaseException:
            process.stop()
            try_again(self._study, trial.number)
            raise
        self._told(Moment("ends", trial.number, done(self._study), self._trials, f"trial {trial.number}: {text}"))
        return reason

    def _tried(self, trial: Trial, settings: TrainSettings, process: TrialProcess) -> tuple[str, str]:
        """One trial to its end: that in words, and why it failed where it did."""
        home = self._loop.home
        items = datasets.items(self._loop.store, self._spec.dataset_id)
        check = preflight(resolve_base(self._spec.base, home).path, settings, items, home.runs)
        if check.memory.verdict == "does not fit":
            return self._pruned(trial, process, f"memory: {check.memory.sentence}"), ""
        check.require()
        follower = Follower(trial, settings.epochs)
        while (end := self._follow(process, settings, follower)) == "made room" and not self._should_stop():
            self._wait_for_runs(self._told, self._should_stop)
        result = process.result()
        if end == "hopeless":
            return self._pruned(trial, process, f"worse than the median after {follower.index / 2:g} epochs"), ""
        if result is not None and result["status"] == "finished":
            return self._complete(trial, process, result), ""
        if end != "ended":
            try_again(self._study, trial.number)
            return "broken off; the same command goes on with it", ""
        if result is not None and result.get("title") == DIVERGED:
            trial.report(-1.0, follower.index + 1)
            return self._pruned(trial, process, result["message"]), ""
        reason = (result or {}).get("message") or process.last_words() or "Its process was gone without a word."
        trial.set_user_attr("note", reason)
        try_again(self._study, trial.number, failed=True)
        return f"failed: {reason}", reason

    def _follow(self, process: TrialProcess, settings: TrainSettings, follower: Follower) -> End:
        """Starts a trial's process and follows it to its end, or to when it has to be stopped."""
        spec = self._spec
        try:
            process.start(
                {
                    "base": spec.base,
                    "category": spec.category,
                    "dataset_id": spec.dataset_id,
                    "settings": settings.to_mapping(),
                }
            )
        except RunError:  # it died at once; its log says why
            return "ended"
        while True:
            alive = process.alive()  # looked at before the figures, so that the last ones are heard
            for figures in process.figures():
                follower.hear(figures.step, figures.total, figures.values)
                self._told(Moment("step", follower.trial.number, figures.step, figures.total, ""))
            if not alive:
                return "ended"
            run = runs.active(self._loop.store)
            if follower.hopeless or run is not None or self._should_stop():
                process.stop()
                return "hopeless" if follower.hopeless else "stopped" if run is None else "made room"
            time.sleep(_POLL_SECONDS)

    def _complete(self, trial: Trial, process: TrialProcess, result: Mapping[str, Any]) -> str:
        for name in ("score", "loss", "base_loss", "seconds"):
            trial.set_user_attr(name, result[name])
        self._study.tell(trial, objective(result["score"], improvement(result["loss"], result["base_loss"])))
        process.remove()
        score = "" if result["score"] is None else f"score {result['score']:.1f}, "
        return f"{score}validation loss {result['base_loss']:.3f} → {result['loss']:.3f}"

    def _pruned(self, trial: Trial, process: TrialProcess, why: str) -> str:
        import optuna

        trial.set_user_attr("note", why)
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        process.remove()
        return f"cut short: {why}"


def try_again(study: Study, number: int, *, failed: bool = False) -> None:
    """Ends a trial as failed and lets the same settings be tried again, from where they were.

    One whose own process has `failed` is not tried a third time.
    """
    import optuna

    trial = study.get_trials(deepcopy=False)[number]
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    failures = int(trial.user_attrs.get("failures", 0)) + failed
    if failures < MOST_FAILURES:
        kept = {name: value for name, value in trial.user_attrs.items() if name == "folder"}
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={**kept, "failures": failures})


def describe(settings: Mapping[str, Any]) -> str:
    """Drawn settings in one line."""
    if not settings:
        return ""
    return (
        f"learning rate {settings['learning_rate']:.2e}, batch {settings['batch_size'] * settings['accumulation']}, "
        f"{settings['epochs']} epochs, warm-up {settings['warmup_ratio']:.2f}, r {settings['rank']}, "
        f"alpha {settings['alpha']}"
    )
