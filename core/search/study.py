"""What is known of a search for hyper-parameters: its trials, the best of them, and what mattered.

Each search is an Optuna study in `search.db` of the home folder, which survives a kill at any moment and may be open in
several processes. A study belongs to one category on one base model, and to one frozen dataset, so that its trials can
be compared; `--fresh` begins another one on what was learned since.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from statistics import correlation
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import StoreError
from core.paths import Home
from core.train.config import TrainSettings
from core.train.search_space import USUAL, params_of, settings_of

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

FILE: Final = "search.db"
STARTUP_TRIALS: Final = 10  # drawn evenly before the sampler draws on what it knows
ENOUGH_FOR_IMPORTANCE: Final = 10
FEWEST_FOR_IMPORTANCE: Final = 4
_BUSY_SECONDS: Final = 60.0
_SPEC: Final = "spec"

TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What all trials of a search share. `settings` are those of the first trial, which the others vary."""

    category: str
    base: str
    dataset_id: int
    seed: int
    limit: int | None
    settings: Mapping[str, Any]

    @property
    def start(self) -> TrainSettings:
        """The settings of the first trial."""
        return TrainSettings.from_mapping(self.settings)


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. `value` is the objective (None unless complete), `settings` what it varied, by name.

    `score` is the mean validator score of its answers, 0-100 (None where the validator cannot judge); losses are nats
    per answer token on the validation split; `seconds` of its process; `note` says why it ended early.
    """

    number: int
    state: TrialState
    value: float | None
    settings: Mapping[str, Any]
    score: float | None
    loss: float | None
    base_loss: float | None
    seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Overview:
    """A search as it stands: its trials in order, the best complete one, the share of each parameter (sum 1)."""

    spec: Spec
    trials: tuple[Trial, ...]
    best: Trial | None
    importances: Mapping[str, float]

    @property
    def done(self) -> int:
        """Trials that have told something: complete or pruned."""
        return sum(trial.state in ("complete", "pruned") for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The search as JSON values."""
        return {**asdict(self), "done": self.done}


def overview(home: Home, category: str, base: str) -> Overview | None:
    """The newest search of a category on a base model (as runs name it), or None where there is none."""
    if not (home.root / FILE).exists():
        return None
    with open_storage(home) as storage:
        study = newest(storage, category, base)
        return overview_of(study) if study is not None else None


def best(home: Home, category: str, base: str) -> Trial | None:
    """The best trial of the newest search, or None before one is complete."""
    found = overview(home, category, base)
    return found.best if found else None


@contextmanager
def open_storage(home: Home) -> Iterator[RDBStorage]:
    """The file of all searches, made where it is missing. Raises StoreError when it cannot be read or written."""
    import optuna
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = home.root / FILE
    hint = f"Check the free space and the permissions, or move {path} away to begin anew."
    try:
        # Optuna takes braces in the address for a place to fill in.
        url = URL.create("sqlite", database=str(path)).render_as_string().replace("{", "{{").replace("}", "}}")
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}})
    except (SQLAlchemyError, RuntimeError, optuna.exceptions.StorageInternalError) as error:
        raise StoreError(f"{path} cannot be opened: {_first_line(error)}", hint=hint) from error
    try:
        yield storage
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StoreError(f"{path} cannot be read or written: {_first_line(error)}", hint=hint) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def newest(storage: RDBStorage, category: str, base: str) -> Study | None:
    """The search of a category on a base model that was begun last."""
    for study in reversed(studies(storage)):
        spec = spec_of(study)
        if (spec.category, spec.base) == (category, base):
            return study
    return None


def studies(storage: RDBStorage) -> list[Study]:
    """Every search, oldest first. One whose making was broken off by a kill is none."""
    import optuna

    found = optuna.get_all_study_summaries(storage, include_best_trial=False)
    named = [one.study_name for one in found if _SPEC in one.user_attrs]
    return [optuna.load_study(study_name=name, storage=storage) for name in named]


def create(storage: RDBStorage, spec: Spec) -> Study:
    """Begins a search."""
    import optuna

    name = f"search-{len(optuna.get_all_study_names(storage)) + 1}"  # its trials' folders begin with it
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    study.set_user_attr(_SPEC, asdict(spec))
    return study


def spec_of(study: Study) -> Spec:
    """What all trials of a study share."""
    return Spec(**study.user_attrs[_SPEC])


def prepare(study: Study) -> None:
    """Makes a study ready to be asked: its sampler and pruner, and the configured settings as its first trial.

    The sampler is the tree-structured Parzen estimator (Bergstra et al., NIPS 2011). Its seed follows from the search's
    and the number of trials, so that a search that was broken off goes on as it would have. A trial is pruned when its
    validation loss, after at least one pass over the data, is worse than the median of the complete trials there.
    """
    import optuna

    spec = spec_of(study)
    study.enqueue_trial(params_of(spec.start), skip_if_exists=True)
    made = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(
        seed=(spec.seed * 1_000_003 + made) % 2**32, n_startup_trials=STARTUP_TRIALS
    )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)


def done(study: Study) -> int:
    """Trials that have told something: complete or pruned."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def overview_of(study: Study) -> Overview:
    """How a study stands."""
    spec = spec_of(study)
    trials = tuple(_trial(one, spec) for one in study.get_trials(deepcopy=False))
    complete = [trial for trial in trials if trial.value is not None]
    found = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    return Overview(spec, trials, found, importances(study))


def _trial(found: FrozenTrial, spec: Spec) -> Trial:
    states: Mapping[str, TrialState] = {"WAITING": "waiting", "RUNNING": "running", "PRUNED": "pruned"}
    state = states.get(found.state.name, "complete" if found.state.name == "COMPLETE" else "failed")
    params = {**found.system_attrs.get("fixed_params", {}), **found.params}
    told = found.user_attrs
    return Trial(
        number=found.number,
        state=state,
        value=found.value if state == "complete" else None,
        settings=settings_of(params, spec.start) if params.keys() >= USUAL.keys() else {},
        score=told.get("score"),
        loss=told.get("loss"),
        base_loss=told.get("base_loss"),
        seconds=float(told.get("seconds", 0.0)),
        note=str(told.get("note", "")),
    )


def importances(study: Study) -> dict[str, float]:
    """The share of each parameter in what makes trials differ, largest first, sum 1; empty while there is too little.

    From ten complete trials on it is functional ANOVA on a random forest (Hutter et al., ICML 2014); from four on the
    absolute rank correlation with the objective, which is rough and does not see an optimum inside a range.
    """
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    values = [float(trial.values[0]) for trial in complete]
    if len(complete) < FEWEST_FOR_IMPORTANCE or min(values) == max(values):
        return {}
    found: dict[str, float] = {}
    if len(complete) >= ENOUGH_FOR_IMPORTANCE:
        with suppress(ImportError, ValueError, RuntimeError):  # no scikit-learn, or trials that differ in too little
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=spec_of(study).seed)
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
