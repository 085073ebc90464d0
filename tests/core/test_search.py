"""What a search draws, keeps and says, with trials that only pretend to train."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from core.demo import SEED_FEEDBACK
from core.errors import ConflictError, RunError, StoreError
from core.loop import LearningLoop
from core.paths import Home
from core.search import search
from core.search import study as search_study
from core.search import tries as search_tries
from core.search.defaults import applied, apply, forget
from core.search.places import FILE
from core.search.process import Figures
from core.search.search import Search
from core.search.study import Overview, best, newest, open_storage, overview, prepare
from core.search.tries import Moment
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.search_space import params_of, suggest
from storage import datasets, runs

Learns = Callable[[TrainSettings], dict[str, Any]]


def usual(settings: TrainSettings) -> dict[str, Any]:
    """Learns best near a rate of 1e-3 and a rank of 16, and nothing else matters."""
    off = abs(math.log10(settings.learning_rate) + 3) + abs(math.log2(settings.rank / 16)) / 4
    loss = 1.0 + min(1.0, off / 4)
    return {"status": "finished", "score": 100.0 - 10 * off, "loss": loss, "base_loss": 2.0, "seconds": 1.0}


class Pretended:
    """Stands for the process of a trial: it has ended as soon as it starts, as `learns` says."""

    learns: Learns = staticmethod(usual)
    started: ClassVar[list[tuple[str, TrainSettings]]] = []

    def __init__(self, home: Home, folder: Path) -> None:
        self.folder = folder
        self._ended: dict[str, Any] | None = None
        self._settings = TrainSettings()

    def start(self, task: Mapping[str, Any], dataset: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        self._settings = TrainSettings.from_mapping(task["settings"])
        Pretended.started.append((self.folder.name, self._settings))
        self._ended = Pretended.learns(self._settings)

    def alive(self) -> bool:
        return self._ended is not None and "figures" in self._ended

    def figures(self) -> Iterator[Figures]:
        told = (self._ended or {}).get("figures", [])
        total = 4 * self._settings.epochs
        yield from (Figures(step, total, {"eval_loss": loss}) for step, loss in told)
        (self._ended or {}).pop("figures", None)

    def stop(self) -> None:
        pass

    def result(self) -> dict[str, Any] | None:
        return self._ended if self._ended and "status" in self._ended else None

    def last_words(self) -> str:
        return "it was killed"

    def remove(self) -> None:
        if self.folder.exists():
            self.folder.rmdir()


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (search, search_tries):
        monkeypatch.setattr(module, "TrialProcess", Pretended)
    monkeypatch.setattr(Pretended, "learns", staticmethod(usual))
    monkeypatch.setattr(Pretended, "started", [])


@pytest.fixture
def loop(home: Home) -> Iterator[LearningLoop]:
    home.config.write_text('[select]\nembeddings = "none"\n', encoding="utf-8")
    with LearningLoop(home) as made:
        fill(made)
        yield made


def fill(loop: LearningLoop, count: int = 60, skip: int = 0) -> None:
    rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
    corrected = [row for row in rows if row.get("correction")][skip : skip + count]
    loop.record_many(
        {
            **{key: row[key] for key in ("prompt", "response", "correction")},
            "metadata": {"expected": row["expected"]},
            "category": "erd",
            "model": "m",
        }
        for row in corrected
    )


def searched(loop: LearningLoop, trials: int, **more: Any) -> Overview:
    found = Search(loop, "erd", "demo", trials=trials, **more).run()
    assert found is not None
    return found


def test_the_first_trial_is_what_is_configured_and_the_best_is_found(loop: LearningLoop, home: Home) -> None:
    told: list[Moment] = []
    found = Search(loop, "erd", "demo", trials=12).run(told.append)
    assert found is not None and found.done == 12 and [one.number for one in found.trials] == list(range(12))
    first, _ = (settings for _, settings in Pretended.started[:2])
    configured = loop.default_settings("demo")
    assert first == TrainSettings.from_mapping(configured)
    assert len({str(settings) for _, settings in Pretended.started}) == 12
    assert all(settings.batch_size <= configured["batch_size"] for _, settings in Pretended.started)
    assert found.best is not None and found.best.value == max(one.value or 0.0 for one in found.trials)
    assert found.best.score == pytest.approx(usual(Pretended.started[found.best.number][1])["score"])
    assert best(home, "erd", "demo") == found.best and overview(home, "erd", "demo") == found
    assert [one.kind for one in told] == ["begins", "ends"] * 12 and told[-1].done == told[-1].total == 12
    assert not list(home.runs.iterdir()) and loop.versions() == [] and loop.runs() == []
    assert sum(found.importances.values()) == pytest.approx(1.0) and all(v >= 0 for v in found.importances.values())
    assert next(iter(found.importances)) == "learning_rate"


@pytest.mark.parametrize(("trials", "enough"), [(3, False), (6, True)])
def test_few_trials_tell_roughly_or_not_at_all_what_matters(loop: LearningLoop, trials: int, enough: bool) -> None:
    found = searched(loop, trials)
    assert bool(found.importances) == enough
    assert found.importances == {} or sum(found.importances.values()) == pytest.approx(1.0)


def test_all_trials_learn_from_one_dataset_although_more_was_recorded(loop: LearningLoop) -> None:
    first = searched(loop, 2)
    fill(loop, 40, skip=60)
    again = searched(loop, 3)
    assert again.spec == first.spec and again.done == 3 and len(Pretended.started) == 3
    fresh = searched(loop, 1, fresh=True)
    assert fresh.spec.dataset_id != first.spec.dataset_id and fresh.done == 1
    assert len(datasets.items(loop.store, fresh.spec.dataset_id or 0)) > len(datasets.items(loop.store, 1))
    assert overview(loop.home, "erd", "demo") == fresh


def test_a_search_goes_on_as_it_would_have(loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_study, "STARTUP_TRIALS", 3)
    whole = searched(loop, 6)
    searched(loop, 2, fresh=True)
    parts = [searched(loop, count) for count in (5, 6)]
    assert [one.settings for one in parts[-1].trials] == [one.settings for one in whole.trials]
    other = searched(loop, 2, fresh=True, seed=1)
    assert other.trials[0].settings == {**whole.trials[0].settings}
    assert other.trials[1].settings != whole.trials[1].settings


def test_a_trial_whose_process_is_gone_is_tried_again_in_its_folder(loop: LearningLoop, home: Home) -> None:
    searched(loop, 2)
    with open_storage(home) as storage:  # what a kill leaves
        study = newest(storage, "erd", "demo")
        assert study is not None
        prepare(study)
        drawn = suggest(trial := study.ask(), TrainSettings.from_mapping(study.user_attrs["spec"]["settings"]))
        trial.set_user_attr("folder", "search-1-2")
    for name in ("search-1-2", "search-9-9"):
        (home.runs / name).mkdir()
    found = searched(loop, 3)
    assert [one.state for one in found.trials] == ["complete", "complete", "failed", "complete"]
    assert found.trials[3].settings == drawn == found.trials[2].settings
    assert [name for name, _ in Pretended.started] == ["search-1-0", "search-1-1", "search-1-2"]
    assert not list(home.runs.iterdir())


def test_ctrl_c_keeps_what_is_done(loop: LearningLoop) -> None:
    def interrupt(moment: Moment) -> None:
        if moment.kind == "begins" and moment.trial == 2:
            Pretended.learns = staticmethod(raising)

    def raising(settings: TrainSettings) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Search(loop, "erd", "demo", trials=5).run(interrupt)
    left = overview(loop.home, "erd", "demo")
    assert left is not None
    assert [one.state for one in left.trials] == ["complete", "complete", "failed", "waiting"]
    Pretended.learns = staticmethod(usual)
    found = searched(loop, 3)
    assert found.trials[3].state == "complete" and found.trials[3].settings == left.trials[2].settings


def test_a_wish_to_stop_ends_it_between_two_trials(loop: LearningLoop) -> None:
    found = Search(loop, "erd", "demo", trials=9).run(should_stop=lambda: len(Pretended.started) >= 2)
    assert found is not None and found.done == 2
    assert Search(loop, "erd", "demo").run(should_stop=lambda: True) is None


def test_a_trial_worse_than_the_median_is_cut_short(loop: LearningLoop) -> None:
    def learns(settings: TrainSettings) -> dict[str, Any]:
        good = len(Pretended.started) <= 6
        loss = 1.0 if good else 1.9
        told = [(0, 2.0), (2, 1.95), (4, loss), (6, loss)]
        return {"figures": told, **usual(settings)} if good else {"figures": told}

    Pretended.learns = staticmethod(learns)
    found = searched(loop, 8)
    cut = [one for one in found.trials if one.state == "pruned"]
    assert [one.number for one in cut] == [6, 7] and "median" in cut[0].note and cut[0].value is None
    assert found.done == 8 and found.best is not None and found.best.number < 6


def test_settings_that_diverge_are_bad_and_not_an_error(loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.search import trial as search_trial
    from core.train.step import diverged

    def explodes(*_: Any) -> dict[str, Any]:
        raise diverged("The loss has grown.")

    monkeypatch.setattr(search_trial, "perform", explodes)
    said = search_trial._outcome(loop.home, loop.home.runs, search_trial.Lines(io.StringIO(), 0))
    assert said["status"] == "diverged" and diverged("").title == "The training diverged"
    Pretended.learns = staticmethod(lambda settings: said if len(Pretended.started) > 1 else usual(settings))
    found = searched(loop, 4)
    assert [one.state for one in found.trials] == ["complete", "pruned", "pruned", "pruned"]
    assert found.trials[1].note == "The loss has grown." and found.best is not None and found.best.number == 0


def test_trials_that_fail_end_the_search_with_the_reason(loop: LearningLoop) -> None:
    Pretended.learns = staticmethod(lambda settings: {})
    with pytest.raises(RunError, match="it was killed"):
        searched(loop, 5)
    assert [name for name, _ in Pretended.started] == ["search-1-0", "search-1-0"]
    left = overview(loop.home, "erd", "demo")
    assert left is not None and [one.state for one in left.trials] == ["failed", "failed"] and left.best is None
    Pretended.learns = staticmethod(usual)
    assert searched(loop, 2).done == 2


def test_settings_that_do_not_fit_the_memory_are_not_tried(loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:

    def small(base: Path, settings: TrainSettings, *more: Any) -> Any:
        check = preflight(base, settings, *more)
        fits = settings.rank <= 8
        return check if fits else replace(check, memory=replace(check.memory, verdict="does not fit"))

    monkeypatch.setattr(search_tries, "preflight", small)
    found = searched(loop, 8)
    assert all(settings.rank <= 8 for _, settings in Pretended.started)
    refused = [one for one in found.trials if one.state == "pruned"]
    assert refused and all(one.note.startswith("memory:") and one.settings["rank"] > 8 for one in refused)


def test_a_search_waits_for_a_run(loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(loop, 1)
    run_id = runs.enqueue(
        loop.store,
        created_at=1.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=1,
        parent_version=None,
    )
    assert runs.claim(loop.store, run_id, pid=1, pid_started=1.0, now=1.0)
    monkeypatch.setattr(loop.dispatcher, "tend", lambda: runs.finish(loop.store, run_id, "finished", now=2.0))
    told: list[Moment] = []
    found = Search(loop, "erd", "demo", trials=2).run(told.append)
    assert found is not None and found.done == 2
    assert [one.kind for one in told] == ["waits", "begins", "ends"] and f"Run {run_id}" in told[0].text


def test_what_cannot_be_compared_is_refused(loop: LearningLoop, home: Home) -> None:
    searched(loop, 1, limit=20)
    assert searched(loop, 2, limit=20, seed=0).done == 2
    for other in ({"limit": 30}, {"seed": 4}):
        with pytest.raises(ConflictError, match="cannot be compared") as caught:
            searched(loop, 3, **other)
        assert "--fresh" in caught.value.hint
    assert searched(loop, 2, limit=30, fresh=True).spec.limit == 30


def test_a_search_needs_examples_to_compare_on(home: Home) -> None:
    with LearningLoop(home) as loop:
        fill(loop, 4)
        with pytest.raises(RunError, match="validation"):
            searched(loop, 1)
    assert overview(home, "erd", "demo") is None


def test_a_validator_that_cannot_judge_leaves_the_loss(loop: LearningLoop) -> None:
    Pretended.learns = staticmethod(lambda settings: {**usual(settings), "score": None})
    found = searched(loop, 2)
    assert found.trials[0].loss is not None and found.trials[0].score is None
    assert found.trials[0].value == pytest.approx(100 * (1 - found.trials[0].loss / 2.0))


def test_the_best_settings_are_applied_and_taken_back(loop: LearningLoop) -> None:
    assert applied(loop.store, "erd", "demo") == {} and not forget(loop.store, "erd", "demo")
    found = searched(loop, 6)
    assert found.best is not None
    settings = apply(loop.store, found, now=1.0)
    assert settings == applied(loop.store, "erd", "Demo") == found.best.settings
    assert applied(loop.store, "openapi", "demo") == {}
    wanted = TrainSettings.from_mapping({**loop.default_settings("demo"), **settings})
    assert searched(loop, 1, fresh=True).trials[0].settings == settings
    assert params_of(wanted) == params_of(Pretended.started[-1][1])
    assert forget(loop.store, "erd", "demo") and applied(loop.store, "erd", "demo") == {}


def test_nothing_complete_cannot_be_applied(loop: LearningLoop) -> None:
    Pretended.learns = staticmethod(lambda settings: {})
    with pytest.raises(RunError):
        searched(loop, 1)
    left = overview(loop.home, "erd", "demo")
    assert left is not None
    with pytest.raises(RunError, match="nothing to apply"):
        apply(loop.store, left, now=1.0)


def test_a_damaged_file_is_said(loop: LearningLoop, home: Home) -> None:
    (home.root / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be") as caught:
        overview(home, "erd", "demo")
    assert FILE in caught.value.hint


@pytest.mark.parametrize("name", ["a b", "what?uri=false", "100%20", "{SCHEMA_VERSION}", "ä#1"])
def test_the_file_lies_in_the_home_whatever_its_name(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / name)
    home.ensure()
    with open_storage(home) as storage:
        assert newest(storage, "erd", "demo") is None
    assert (home.root / FILE).stat().st_size > 0
