"""What mattered in a search: the share of each parameter in what makes its trials differ."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import suppress
from statistics import correlation
from typing import TYPE_CHECKING, Final

from core.train.search_space import USUAL

if TYPE_CHECKING:
    from optuna.study import Study

ENOUGH_FOR_IMPORTANCE: Final = 10
FEWEST_FOR_IMPORTANCE: Final = 4


def importances(study: Study, *, seed: int) -> dict[str, float]:
    """The share of each parameter in what makes trials differ, largest first, sum 1; empty while there is too little.

    From ten complete trials on it is functional ANOVA on a random forest (Hutter et al., ICML 2014); from four on the
    absolute rank correlation with the objective, which is rough and does not see an optimum inside a range.
    `seed` is that of the forest.
    """
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    values = [float(trial.values[0]) for trial in complete]
    if len(complete) < FEWEST_FOR_IMPORTANCE or min(values) == max(values):
        return {}
    found: dict[str, float] = {}
    if len(complete) >= ENOUGH_FOR_IMPORTANCE:
        with suppress(ImportError, ValueError, RuntimeError):  # no scikit-learn, or trials that differ in too little
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not sum(found.values()):
        found = {name: _rank_correlation([float(t.params[name]) for t in complete], values) for name in USUAL}
    total = sum(found.values())
    ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    return {name: share / total for name, share in ranked} if total else {}


def _rank_correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """|Spearman's rho|, 0 where one side does not vary."""
    if min(left) == max(left) or min(right) == max(right):
        return 0.0
    return abs(correlation(_ranks(left), _ranks(right)))


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 0, the mean of its places for a value that stands there more than once."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2 for value in values]
