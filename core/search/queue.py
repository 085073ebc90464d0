"""How trials end, and how their settings are queued to be tried again; whoever else may be at work on the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.search.liveness import patiently
from core.search.study import UNNEEDED

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState

MOST_FAILURES: Final = 2  # of one trial, and of trials in a row
MOST_DEATHS: Final = 3  # of the processes that try the same settings: they may be what kills them


def finish(study: Study, number: int, *, value: float | None = None, state: TrialState | None = None) -> bool:
    """Ends a running trial; False where it has been ended already, since somebody thought its process dead."""
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        patiently(lambda: study.tell(number, value, state=state))
    except UpdateFinishedTrialError:
        return False
    except ValueError:
        if study.get_trials(deepcopy=False)[number].state.is_finished():
            return False
        raise
    return True


def try_again(study: Study, number: int, *, failed: bool = False) -> None:
    """Ends a trial as failed and lets the same settings be tried again, from where they were.

    One whose own process has `failed` is not tried a third time.
    """
    import optuna

    trial = study.get_trials(deepcopy=False)[number]
    if finish(study, number, state=optuna.trial.TrialState.FAIL):
        _enqueue(study, trial, "failures" if failed else "")


def retire(study: Study, trial: FrozenTrial) -> None:
    """Ends a trial whose process is dead, and lets the same settings be tried again."""
    import optuna

    if finish(study, trial.number, state=optuna.trial.TrialState.FAIL):
        bury(study, trial)


def bury(study: Study, trial: FrozenTrial) -> None:
    """Lets the settings of a trial that was ended because its process is dead be tried again."""
    _enqueue(study, trial, "deaths")


def _enqueue(study: Study, trial: FrozenTrial, counted: str) -> None:
    """The first process that tries the settings again goes on in their folder, where it has it."""
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    counts = {name: int(trial.user_attrs.get(name, 0)) + (name == counted) for name in ("failures", "deaths")}
    if not params or counts["failures"] >= MOST_FAILURES or counts["deaths"] >= MOST_DEATHS:
        return
    kept = {name: value for name, value in trial.user_attrs.items() if name == "folder"}
    study.enqueue_trial(params, user_attrs={**kept, **counts})


def give_back(study: Study, trial: Trial) -> None:
    """Ends a trial that was just begun and is not needed, and puts what it was taken from back into the queue."""
    import optuna

    frozen = study.get_trials(deepcopy=False)[trial.number]
    trial.set_user_attr(UNNEEDED, True)
    if finish(study, trial.number, state=optuna.trial.TrialState.FAIL):
        _enqueue(study, frozen, "")
