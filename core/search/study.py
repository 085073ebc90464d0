"""What is known of a search for hyper-parameters: its trials, and the best of them.

Each search is an Optuna study in the place of searches (see `core.search.places`), which survives a kill at any moment
and may be open in several processes. A study belongs to one category on one base model, and to one frozen dataset, so
that its trials can be compared; `--fresh` begins another one on what was learned since.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from core.errors import ConflictError, FinetuneError
from core.paths import Home
from core.search.importance import importances
from core.search.places import Retry, opened, place_of
from core.train.config import TrainSettings
from core.train.search_space import USUAL, params_of, settings_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

STARTUP_TRIALS: Final = 10  # drawn evenly before the sampler draws on what it knows
FORMAT: Final = 1  # of what a shared study tells; another one is another version of the program
UNNEEDED: Final = "unneeded"  # marks a trial that was begun when others had begun enough
_SPEC: Final = "spec"
_ABANDONED: Final = "abandoned"

TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What every machine on a shared search must have the same, as fingerprints where it is large.

    `token` begins the names of its trials' folders, `dataset` is the SHA-256 of what `core.search.travel` makes of it,
    `model` the base model's name, `weights` and `judging` come from `core.search.sharing`, `max_tokens` is the longest
    answer.
    """

    token: str
    dataset: str
    model: str
    weights: str
    judging: str
    max_tokens: int
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Spec:
    """What all trials of a search share. `settings` are those of the first trial, which the others vary.

    `base` is named as on this machine. A shared search carries its dataset and has no `dataset_id`.
    """

    category: str
    base: str
    dataset_id: int | None
    seed: int
    limit: int | None
    settings: Mapping[str, Any]
    shared: Shared | None = None

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


def overview(home: Home, category: str, base: str, storage: str = "") -> Overview | None:
    """The newest search of a category on a base model (as runs name it), or None where there is none.

    `storage` names a shared place, see `core.search.places`.
    """
    from core.search.sharing import model_name

    place = place_of(home, storage)
    if place.path is not None and not place.path.exists():
        return None
    with opened(place) as found:
        study = newest(found, category, model_name(base, home) if place.shared else base, shared=place.shared)
        return overview_of(study, base) if study is not None else None


def best(home: Home, category: str, base: str, storage: str = "") -> Trial | None:
    """The best trial of the newest search, or None before one is complete."""
    found = overview(home, category, base, storage)
    return found.best if found else None


@contextmanager
def open_storage(home: Home, storage: str = "", retry: Retry | None = None) -> Iterator[BaseStorage]:
    """The place of searches, made where it is missing; see `core.search.places`. Raises StoreError, ConfigError."""
    with opened(place_of(home, storage), retry) as found:
        yield found


def newest(storage: BaseStorage, category: str, base: str, *, shared: bool = False) -> Study | None:
    """The search of a category on a base model that was begun last; a `shared` one knows the model's bare name.

    Raises ConflictError where another version of the program has begun it.
    """
    for study in reversed(studies(storage)):
        told = study.user_attrs[_SPEC]
        named = told["shared"]["model"] if told.get("shared") else told["base"]
        if bool(told.get("shared")) == shared and (told["category"], named) == (category, base):
            _require_known(study.study_name, told)
            return study
    return None


def _require_known(name: str, told: Mapping[str, Any]) -> None:
    version = (told.get("shared") or {}).get("format", FORMAT)
    try:
        known = version == FORMAT and TrainSettings.from_mapping(told["settings"]) is not None
    except FinetuneError:
        known = False
    if not known:
        raise ConflictError(
            f"{name} was begun by another version of finetune-tui, whose settings this one does not know.",
            title="Other version",
            hint="Use the same version on every machine, or begin another search with --fresh.",
        )


def studies(storage: BaseStorage) -> list[Study]:
    """Every search, oldest first. One whose making was broken off by a kill is none, nor a study of something else."""
    import optuna

    found = optuna.get_all_study_summaries(storage, include_best_trial=False)
    named = [one.study_name for one in found if is_search(one.user_attrs)]
    return [optuna.load_study(study_name=name, storage=storage) for name in named]


def is_search(told: Mapping[str, Any]) -> bool:
    """Whether attributes are those of a search that was made whole."""
    spec = told.get(_SPEC)
    return isinstance(spec, dict) and {"category", "base", "settings"} <= spec.keys() and _ABANDONED not in told


def unfinished(storage: BaseStorage, prefix: str) -> list[Study]:
    """Searches whose names begin so and that are being made, or whose making was broken off."""
    import optuna

    found = optuna.get_all_study_summaries(storage, include_best_trial=False)
    names = [one.study_name for one in found if not {_SPEC, _ABANDONED} & one.user_attrs.keys()]
    return [optuna.load_study(study_name=name, storage=storage) for name in names if name.startswith(prefix)]


def abandon(study: Study) -> None:
    """Marks a search whose making was broken off."""
    study.set_user_attr(_ABANDONED, True)


def next_name(storage: BaseStorage, prefix: str = "search-") -> str:
    """The prefix and the next number."""
    import optuna

    names = [name for name in optuna.get_all_study_names(storage) if name.startswith(prefix)]
    return f"{prefix}{len(names) + 1}"


def create(storage: BaseStorage, spec: Spec, name: str = "", data: Mapping[str, str] | None = None) -> Study:
    """Begins a search, the configured settings being its first trial; `data` is kept with it.

    Raises optuna.exceptions.DuplicatedStudyError where another process has just taken that name.
    """
    import optuna

    named = name or next_name(storage)
    study = optuna.create_study(storage=storage, study_name=named, direction="maximize")
    for key, value in (data or {}).items():
        study.set_user_attr(key, value)
    study.enqueue_trial(params_of(spec.start))
    study.set_user_attr(_SPEC, asdict(spec))  # the last: without it the study is none
    return study


def spec_of(study: Study, base: str | None = None) -> Spec:
    """What all trials of a study share; `base` is what this machine calls the base model of a shared one."""
    told = dict(study.user_attrs[_SPEC])
    shared = told.pop("shared", None)
    spec = Spec(**told, shared=Shared(**shared) if shared else None)
    return replace(spec, base=base) if base and spec.shared else spec


def prepare(study: Study, worker: int = 0) -> None:
    """Makes a study ready to be asked: its sampler and its pruner.

    The sampler is the tree-structured Parzen estimator (Bergstra et al., NIPS 2011), which keeps away from what is
    being tried at the same time. Its seed follows from the search's and the number of trials, so that a search that was
    broken off goes on as it would have; with the number of the `worker`, no two of them draw the same at the same time.
    A trial is pruned when its objective, after at least one pass over the data, is worse than the median of the
    complete trials there.
    """
    import optuna

    made = len(study.get_trials(deepcopy=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            seed=(spec_of(study).seed * 1_000_003 + made + worker) % 2**32,
            n_startup_trials=STARTUP_TRIALS,
            constant_liar=True,
        )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)


def done(study: Study) -> int:
    """Trials that have told something: complete or pruned."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def at_work(study: Study) -> int:
    """Trials that are being tried now, by whomever."""
    return sum(trial.state.name == "RUNNING" for trial in study.get_trials(deepcopy=False))


def overview_of(study: Study, base: str | None = None) -> Overview:
    """How a study stands; `base` as in `spec_of`."""
    spec = spec_of(study, base)
    known = [one for one in study.get_trials(deepcopy=False) if UNNEEDED not in one.user_attrs]
    trials = tuple(_trial(one, spec) for one in known)
    complete = [trial for trial in trials if trial.value is not None]
    found = max(complete, key=lambda trial: (trial.value, -trial.number), default=None)
    return Overview(spec, trials, found, importances(study, seed=spec.seed))


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
