"""A search that several home folders share: what travels, what must be the same, and what is said where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.demo import SEED_FEEDBACK
from core.errors import CategoryError, ConfigError, ConflictError, ModelError, RunError, StoreError
from core.loop import LearningLoop
from core.paths import Home
from core.search import liveness, places, search, sharing, study, travel
from core.search import tries as search_tries
from core.search.defaults import applied, apply
from core.search.liveness import Heart, Watch
from core.search.places import opened, place_of
from core.search.process import Figures
from core.search.queue import MOST_DEATHS, bury, retire
from core.search.search import Search
from core.search.study import Overview, newest, overview
from core.search.tries import Follower, Moment
from core.train.config import TrainSettings
from core.train.search_space import suggest
from storage import datasets
from storage.rows import DatasetItem

PLAIN = '[select]\nembeddings = "none"\n'


class Pretended:
    """Stands for the process of a trial: it has ended as soon as it starts, better with a higher rank."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.folder = folder

    def start(self, task: Mapping[str, Any], dataset: bytes) -> None:
        self.settings = TrainSettings.from_mapping(task["settings"])
        assert any(item.split == "validation" for item in travel.from_bytes(dataset).items)

    def alive(self) -> bool:
        return False

    def figures(self) -> Iterator[Figures]:
        return iter(())

    def stop(self) -> None: ...

    def result(self) -> dict[str, Any]:
        return {"status": "finished", "score": self.settings.rank / 2, "loss": 1.0, "base_loss": 2.0, "seconds": 1.0}

    def last_words(self) -> str:
        return ""

    def remove(self) -> None: ...


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (search, search_tries):
        monkeypatch.setattr(module, "TrialProcess", Pretended)
    monkeypatch.setattr(search, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def loop(home: Home) -> Iterator[LearningLoop]:
    home.config.write_text(PLAIN, encoding="utf-8")
    with LearningLoop(home) as made:
        rows = [json.loads(line) for line in SEED_FEEDBACK.read_text(encoding="utf-8").splitlines()]
        made.record_many(
            {
                **{key: row[key] for key in ("prompt", "response", "correction")},
                "metadata": {"expected": row["expected"]},
                "category": "erd",
                "model": "m",
            }
            for row in [row for row in rows if row.get("correction")][:60]
        )
        yield made


def other_home(folder: Path, config: str = PLAIN) -> Home:
    """A second machine: it has no examples."""
    home = Home(folder)
    home.ensure()
    home.config.write_text(config, encoding="utf-8")
    return home


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"journal": f"journal:{tmp_path}/s.log", "sqlite": f"sqlite:///{tmp_path}/s.db"}[request.param]


def searched(loop: LearningLoop, storage: str, trials: int, **more: Any) -> Overview:
    found = Search(loop, "erd", "demo", trials=trials, storage=storage, **more).run()
    assert found is not None
    return found


def test_another_home_goes_on_with_the_search_and_applies_its_best(
    loop: LearningLoop, tmp_path: Path, storage: str
) -> None:
    first = searched(loop, storage, 2)
    home = other_home(tmp_path / "other")
    with LearningLoop(home) as second:
        found = searched(second, storage, 5)
        assert found.done == 5 and found.trials[:2] == first.trials and found.spec == first.spec
        assert found.spec.dataset_id is None and found.spec.base == "demo"
        assert overview(home, "erd", "demo", storage) == overview(loop.home, "erd", "demo", storage) == found
        assert found.best is not None and apply(second.store, found, now=1.0) == found.best.settings
        assert applied(second.store, "erd", "demo") == found.best.settings and not applied(loop.store, "erd", "demo")
        assert second.runs() == [] and not home.root.joinpath(places.FILE).exists()
    assert overview(loop.home, "erd", "demo") is None
    fresh = searched(loop, storage, 1, fresh=True)
    assert fresh.done == 1 and overview(home, "erd", "demo", storage) == fresh
    with LearningLoop(home) as second, pytest.raises(ConflictError, match="cannot be compared"):
        searched(second, storage, 2, seed=9)


def test_the_place_is_taken_from_the_configuration(loop: LearningLoop, home: Home, tmp_path: Path) -> None:
    home.config.write_text(f'{PLAIN}[search]\nstorage = "journal:{tmp_path}/s.log"\n', encoding="utf-8")
    with LearningLoop(home) as again:
        assert Search(again, "erd", "demo", trials=1).run() is not None
        assert overview(home, "erd", "demo") is None and overview(home, "erd", "demo", again.config.search.storage)
        assert searched(again, "home", 1).spec.shared is None and overview(home, "erd", "demo") is not None


def test_what_is_not_the_same_on_another_machine_is_refused(
    loop: LearningLoop, tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(loop, storage, 1)
    judged = f'{PLAIN}[categories.erd]\nvalidator = "none"\n'
    with LearningLoop(other_home(tmp_path / "a", judged)) as second, pytest.raises(ConflictError, match="judges"):
        searched(second, storage, 2)
    home = other_home(tmp_path / "b")
    with LearningLoop(home) as second:
        with pytest.raises(CategoryError, match="nothing") as caught:
            Search(second, "nothing", "demo", storage=storage)
        assert "[categories.nothing]" in caught.value.hint
        with pytest.raises(ModelError, match="not on this machine"):
            Search(second, "erd", "HuggingFaceTB/SmolLM-not-here", storage=storage).run()
        with monkeypatch.context() as patched:
            patched.setattr(sharing, "_SAMPLE", 7)
            with pytest.raises(ConflictError, match="another one") as other:
                searched(second, storage, 2)
            assert "demo" in other.value.message
        with pytest.raises(RunError):  # it has no examples to begin a search of its own with
            searched(second, storage, 1, fresh=True)
    with opened(place_of(home, storage)) as found:
        made = newest(found, "erd", "demo", shared=True)
        assert made is not None
        spec = made.user_attrs["spec"]
        made.set_user_attr("spec", {**spec, "shared": {**spec["shared"], "format": 99}})
    with pytest.raises(ConflictError, match="another version"):
        overview(home, "erd", "demo", storage)


def test_a_damaged_dataset_is_not_trained_on(loop: LearningLoop, storage: str) -> None:
    searched(loop, storage, 1)
    with opened(place_of(loop.home, storage)) as found:
        made = newest(found, "erd", "demo", shared=True)
        assert made is not None
        piece = str(made.user_attrs["dataset:0"])
        made.set_user_attr("dataset:0", piece[:40] + "AAAA" + piece[44:])
    with pytest.raises(RunError, match="damaged"):
        searched(loop, storage, 2)


def test_a_search_whose_making_was_broken_off_is_begun_again(
    loop: LearningLoop, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    monkeypatch.setattr(places, "GRACE_SECONDS", 1)
    with opened(place_of(loop.home, storage)) as found:
        optuna.create_study(storage=found, study_name="search/erd/demo/1")
        optuna.create_study(storage=found, study_name="something of others")
    told: list[Moment] = []
    asked = Search(loop, "erd", "demo", trials=1, storage=storage)
    assert asked.run(told.append) is not None
    assert [one.kind for one in told] == ["waits", "begins", "ends"]
    assert searched(loop, storage, 1).done == 1


def test_trials_without_a_heartbeat_are_queued_again_until_they_were_too_deadly(
    loop: LearningLoop, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(loop, storage, 1)
    monkeypatch.setattr(places, "GRACE_SECONDS", 1)
    with opened(place_of(loop.home, storage), bury) as found:
        made = newest(found, "erd", "demo", shared=True)
        assert made is not None
        made.enqueue_trial({"rank": 9})
        for deaths in range(MOST_DEATHS):
            trial = made.ask()
            suggest(trial, TrainSettings())
            assert trial.params["rank"] == 9
            watch, clock = Watch(), [0.0]
            monkeypatch.setattr("core.search.liveness.time.monotonic", lambda clock=clock: clock[0])
            for clock[0] in (0.0, 0.9):
                watch.tend(made, retire)
                assert [one.number for one in made.trials if one.state.name == "RUNNING"] == [trial.number]
            trial.set_user_attr(liveness.BEAT, deaths + 1)
            for clock[0] in (1.2, 1.9):
                watch.tend(made, retire)
                assert made.trials[trial.number].state.name == "RUNNING"
            clock[0] = 2.3
            watch.tend(made, retire)
            watch.tend(made, retire)
            assert made.trials[trial.number].state.name == "FAIL"
        assert not [one for one in made.trials if one.state.name in ("WAITING", "RUNNING")]


def test_the_heart_beats_and_hears_that_its_trial_was_taken(
    loop: LearningLoop, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(loop, storage, 1)
    monkeypatch.setattr(places, "BEAT_SECONDS", 0.01)
    with opened(place_of(loop.home, storage)) as found:
        made = newest(found, "erd", "demo", shared=True)
        assert made is not None
        trial = made.ask()
        with Heart(found, trial) as heart:
            first = made.trials[trial.number].user_attrs[liveness.BEAT]
            while first != "database" and made.trials[trial.number].user_attrs[liveness.BEAT] == first:
                pass
            assert not heart.taken
            made.tell(trial.number, state=study_state("FAIL"))
            while not heart.taken:
                pass


def study_state(name: str) -> Any:
    import optuna

    return optuna.trial.TrialState[name]


def test_half_a_line_that_a_kill_left_in_the_journal_is_cut_away(loop: LearningLoop, tmp_path: Path) -> None:
    storage, file = f"journal:{tmp_path}/s.log", tmp_path / "s.log"
    first = searched(loop, storage, 1)
    with file.open("ab") as torn:
        torn.write(b'{"op_code":8,"worker')
    assert overview(loop.home, "erd", "demo", storage) == first
    assert searched(loop, storage, 3).done == 3
    assert all(json.loads(line) for line in file.read_bytes().splitlines())


@pytest.mark.parametrize("content", [b"no journal\nat all\n", b"[1]\n[2]\n", b'{"a": 1}\n'])
def test_a_file_that_is_no_journal_is_said(loop: LearningLoop, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.log").write_bytes(content)
    with pytest.raises(StoreError, match=r"s\.log cannot be read"):
        searched(loop, f"journal:{tmp_path}/s.log", 1)
    assert (tmp_path / "s.log").read_bytes() == content


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("journal:", "whole path"),
        ("journal:here.log", "whole path"),
        ("journal:/not/there/s.log", "no folder /not/there"),
        ("sqlite://", "whole path"),
        ("sqlite:///here.db", "whole path"),
        ("postgresql:s3cret@", "no address"),
        ("s3cret", "no address"),
        ("postgresql://me:12@s3cret@host/name", "%40"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_a_password(home: Home, address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        place_of(home, address)
    assert "s3cret" not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+pg8000://me:s3%2Fcret%25@db.example/searches",
        "mysql+oursql://me:s3%2Fcret%25@db.example/searches",
        "nothing://me:s3%2Fcret%25@db.example/searches",
        "postgresql+pg8000://db.example/searches?user=me&password=s3%2Fcret%25",
    ],
)
def test_a_missing_driver_is_named_and_no_password(home: Home, address: str) -> None:
    place = place_of(home, address)
    assert "s3" not in place.shown and "s3" not in repr(place) and "db.example" in place.shown
    assert "s3" not in place.clean(f"{address} s3/cret% s3%2Fcret%25 {place.address}")
    with pytest.raises(StoreError) as caught, opened(place):
        pass
    error = caught.value
    assert error.title == "No driver" and "s3" not in f"{error.message} {error.hint}"
    assert error.__cause__ is None and error.__suppress_context__


def test_a_database_that_is_not_there_is_said(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_PAUSES", ())
    (tmp_path / "s.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be reached"), opened(place_of(home, f"sqlite:///{tmp_path}/s.db")):
        pass


def test_tables_of_another_optuna_are_said(home: Home, tmp_path: Path) -> None:
    place = place_of(home, f"sqlite:///{tmp_path}/s.db")
    with opened(place) as found, found.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StoreError, match="another version of Optuna"), opened(place):
        pass


texts = st.text(max_size=40)
items = st.builds(
    DatasetItem,
    position=st.integers(0, 9),
    event_id=st.integers(0, 9),
    split=st.sampled_from(["train", "validation", "test"]),
    prompt=texts,
    target=texts,
    system=texts,
    weight=st.floats(0, 9),
    difficulty=st.floats(0, 1),
    stage=texts,
    history=st.lists(st.dictionaries(st.sampled_from(["role", "content"]), texts), max_size=2),
    origin=texts,
    rejected=texts,
    desirable=st.booleans(),
)


@given(st.lists(items, max_size=4), st.dictionaries(st.integers(1, 9), st.dictionaries(texts, texts), max_size=2))
def test_a_dataset_travels_whole(these: list[DatasetItem], known: dict[int, dict[str, str]]) -> None:
    data = travel.Frozen(these, known)
    content = travel.to_bytes(data)
    pieces = travel.to_pieces(content)
    assert travel.from_bytes(travel.from_pieces({**pieces, "other": 1}, travel.fingerprint(content))) == data
    with pytest.raises(RunError):
        travel.from_pieces(pieces, "0" * 64)
    with pytest.raises(RunError):
        travel.from_bytes(content[:-1])


def test_a_large_dataset_travels_in_short_pieces(loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "PIECE", 50)
    searched(loop, "home", 1)
    data = travel.frozen(loop.store, 1)
    assert data.items == datasets.items(loop.store, 1) and len(data.known) == len(data.validation)
    assert all("expected" in told for told in data.known.values())
    content = travel.to_bytes(data)
    pieces = travel.to_pieces(content)
    assert len(pieces) > 20 and max(map(len, pieces.values())) == 50
    assert travel.from_pieces(pieces, travel.fingerprint(content)) == content


def test_a_later_trial_gives_way_when_enough_were_begun(loop: LearningLoop, storage: str) -> None:
    searched(loop, storage, 2)
    with opened(place_of(loop.home, storage)) as found:
        made = newest(found, "erd", "demo", shared=True)
        assert made is not None
        asked = Search(loop, "erd", "demo", trials=3, storage=storage)
        tries = search_tries.Tries(
            loop,
            asked._job(found, made),
            trials=3,
            told=lambda moment: None,
            should_stop=lambda: False,
            wait_for_runs=lambda told, stop: None,
        )
        made.ask()  # another worker has just begun the third
        made.enqueue_trial({"rank": 9})
        assert tries.next() == ""
        assert [one.state.name for one in made.trials] == ["COMPLETE", "COMPLETE", "RUNNING", "FAIL", "WAITING"]
        assert made.trials[4].system_attrs["fixed_params"] == {"rank": 9}
        assert [one.state for one in study.overview_of(made).trials] == ["complete", "complete", "running", "waiting"]


class Reported:
    """Stands for an Optuna trial: remembers what it was told."""

    def __init__(self) -> None:
        self.told: dict[int, float] = {}

    def report(self, value: float, step: int) -> None:
        self.told[step] = value

    def should_prune(self) -> bool:
        return False


def test_a_trial_is_judged_by_its_scores_where_there_are_any() -> None:
    trial = Reported()
    follower = Follower(trial, epochs=2)  # type: ignore[arg-type]
    for step, values in ((0, {"eval_loss": 2.0, "eval_score": 10.0}), (1, {"loss": 1.0})):
        follower.hear(step, 8, values)
    follower.hear(2, 8, {"eval_loss": 1.0, "eval_score": 40.0})
    follower.hear(2, 8, {"eval_loss": 1.0, "eval_score": 99.0})
    follower.diverged()
    assert trial.told == {1: 40.5, 2: -1.0}
    unscored = Reported()
    follower = Follower(unscored, epochs=1)  # type: ignore[arg-type]
    follower.hear(0, 2, {"eval_loss": 2.0})
    follower.hear(2, 2, {"eval_loss": 1.0})
    follower.diverged()
    assert unscored.told == {2: 50.0, 3: -100.0}
