"""From which version a run goes on, with what, and what is refused before anything is queued. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selection_kit import NOW, add_event, add_start, prompts, version_of

from core import training
from core.categories import Category, load_categories
from core.config import Config, Select, Train
from core.errors import ConflictError, FinetuneError, RunError
from core.loop import LearningLoop
from core.paths import Home
from core.train.config import TrainSettings
from core.train.preflight import preflight
from core.train.presets import resolve_base
from core.training import Plan, start_run
from storage import datasets, events, judgments, pairs, runs, ui_state, versions
from storage.db import Store
from storage.rows import DatasetItem, RunRow, VersionRow

PLAIN = Config(select=Select(embeddings="none"))
Make = Callable[..., VersionRow]


@pytest.fixture
def erd(home: Home) -> Category:
    return replace(load_categories(home)["erd"], validator="none")


@pytest.fixture
def make(store: Store, home: Home) -> Make:
    return partial(add_start, store, home)


@pytest.fixture
def filled(store: Store) -> list[int]:
    return [add_event(store, text, score=99.0) for text in prompts(30)]


class TestStartRun:
    def queued(self, store: Store, home: Home, plan: Plan, config: Config = PLAIN) -> RunRow:
        return runs.get(store, start_run(store, home, config, plan))

    @pytest.mark.usefixtures("filled")
    def test_a_fresh_run_compares_with_the_base_and_keeps_its_settings(
        self, store: Store, home: Home, erd: Category, make: Make
    ) -> None:
        base = make(0)
        run = self.queued(store, home, Plan(erd, "demo", {"epochs": 2}, seed=7))
        assert (run.status, run.origin, run.base_model) == ("queued", "manual", "demo")
        assert (run.start_version, run.parent_version) == (None, base.id)
        assert (run.settings["epochs"], run.settings["seed"], run.settings["batch_size"]) == (2, 7, 8)
        dataset = datasets.get(store, run.dataset_id)
        assert dataset.seed == 7 and run.total_steps == 2 * -(-dataset.counts["train"] // 8)

    @pytest.mark.usefixtures("filled")
    def test_rank_and_alpha_are_those_of_the_adapter_that_it_goes_on_from(
        self, store: Store, home: Home, erd: Category, make: Make
    ) -> None:
        version = replace(make(1), settings={"rank": 4, "alpha": 24, "epochs": 9, "learning_rate": 0.5})
        config = replace(PLAIN, train=Train("demo", {"rank": 32}))
        run = self.queued(store, home, Plan(erd, "demo", {"rank": 16, "epochs": 2}, start=version), config)
        assert (run.settings["rank"], run.settings["alpha"]) == (4, 24)
        assert run.settings["epochs"] == 2 and run.settings["learning_rate"] != 0.5
        assert (run.start_version, run.parent_version) == (version.id, version.id)
        assert self.queued(store, home, Plan(erd, "demo", {}, seed=1), config).settings["rank"] == 32

    def test_it_learns_what_its_start_has_not_and_replays_some_of_the_rest(
        self, store: Store, home: Home, erd: Category, filled: list[int]
    ) -> None:
        first = self.queued(store, home, Plan(erd, "demo", {}, limit=12))
        old = {item.event_id for item in datasets.items(store, first.dataset_id, "train")}
        version = versions.get(store, version_of(store, first.id, 1))
        second = self.queued(store, home, Plan(erd, "demo", {}, limit=9, start=version))
        items = datasets.items(store, second.dataset_id, "train")
        new = {item.event_id for item in items if item.origin == "event"}
        assert len(new) == 9 and new.isdisjoint(old)
        replayed = {item.event_id for item in items if item.origin == "replay"}
        assert len(replayed) == 3 and replayed <= old, "a quarter of twelve"

    def test_a_correction_serves_as_an_example_at_once(
        self, store: Store, home: Home, erd: Category, filled: list[int]
    ) -> None:
        judgments.judge(store, filled[4], "correct", correction="what is right", now=NOW)
        run = self.queued(store, home, Plan(erd, "demo", {}))
        assert "what is right" in {item.target for item in datasets.items(store, run.dataset_id)}

    def test_nothing_is_queued_without_examples(self, store: Store, home: Home, erd: Category) -> None:
        with pytest.raises(RunError) as raised:
            start_run(store, home, PLAIN, Plan(erd, "demo", {}))
        assert raised.value.hint
        assert runs.list_runs(store) == []

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_the_worker_queues_no_second_run_of_a_category(
        self, store: Store, home: Home, erd: Category, status: str
    ) -> None:
        first = self.queued(store, home, Plan(erd, "demo", {}, seed=1))
        later = self.queued(store, home, Plan(erd, "demo", {}, seed=2))
        assert runs.claim(store, later.id, pid=1, pid_started=1.0, now=NOW)
        runs.finish(store, later.id, "finished", now=NOW)
        if status == "running":
            assert runs.claim(store, first.id, pid=1, pid_started=1.0, now=NOW)
        adaptive = Plan(erd, "demo", {}, seed=3, origin="adaptive")
        with pytest.raises(ConflictError, match=f"Run {first.id} of this category is {status} already") as raised:
            start_run(store, home, PLAIN, adaptive)
        assert "Wait" in raised.value.hint
        assert len(runs.list_runs(store)) == 2
        assert len({run.dataset_id for run in runs.list_runs(store)}) == store.value("SELECT count(*) FROM datasets")
        # A person may: the runs wait for each other.
        assert self.queued(store, home, replace(adaptive, origin="manual")).status == "queued"

    @pytest.mark.usefixtures("filled")
    def test_an_ended_run_is_in_nobodys_way(self, store: Store, home: Home, erd: Category) -> None:
        first = self.queued(store, home, Plan(erd, "demo", {}, origin="adaptive", limit=10))
        assert runs.claim(store, first.id, pid=1, pid_started=1.0, now=NOW)
        runs.finish(store, first.id, "failed", now=NOW, error="x")
        again = self.queued(store, home, Plan(erd, "demo", {}, origin="adaptive", limit=10))
        assert again.origin == "adaptive"

    @pytest.mark.usefixtures("filled")
    def test_a_stop_is_heard_while_texts_are_embedded(
        self, store: Store, home: Home, erd: Category, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from core.select.alike import meaning

        asked: list[int] = []

        @contextmanager
        def opened(*_: object) -> Any:
            def embed(texts: Sequence[str]) -> Any:
                asked.append(len(texts))
                return meaning.PLAIN.embed(texts)

            yield meaning.Meaning("a model", True, embed)

        def stop() -> None:
            if asked:
                raise FinetuneError("stopped")

        monkeypatch.setattr(meaning, "open_meaning", opened)
        plan = Plan(erd, "demo", {}, limit=10)
        with pytest.raises(FinetuneError, match="stopped"):
            start_run(store, home, Config(select=Select(curriculum=True)), plan, check_stop=stop)
        assert len(asked) == 1
        assert runs.list_runs(store) == []
        run = runs.get(store, start_run(store, home, Config(), plan))
        assert datasets.get(store, run.dataset_id).counts["compared_by"] == "a model"

    @pytest.mark.usefixtures("filled")
    def test_no_model_is_looked_for_where_nothing_is_compared(
        self, store: Store, home: Home, erd: Category, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_: object) -> Any:
            raise AssertionError

        monkeypatch.setattr("core.select.alike.meaning.open_meaning", never)
        start_run(store, home, Config(), Plan(erd, "demo", {}))
        with pytest.raises(AssertionError):
            start_run(store, home, Config(), Plan(erd, "demo", {}, limit=5))


class TestMethods:
    """Runs on preference pairs and thumbs."""

    @pytest.fixture
    def thumbed(self, store: Store, filled: list[int]) -> None:
        for at, event in enumerate(filled[:24]):
            if at % 3 == 0:
                judgments.judge(store, event, "good", now=NOW)
            elif at % 3 == 1:
                judgments.judge(store, event, "bad", now=NOW)
            else:
                said = f"{at} is what is right"
                judgments.judge(store, event, "correct", correction=said, now=NOW)
                row = events.get(store, event)
                pairs.add(
                    store, created_at=NOW, category="erd", prompt=row.prompt, chosen=said, rejected=row.response,
                    margin=0.5, source="correction", rejected_event=event,
                )  # fmt: skip

    def queued(self, store: Store, home: Home, plan: Plan, config: Config = PLAIN) -> RunRow:
        return runs.get(store, start_run(store, home, config, plan))

    @pytest.mark.usefixtures("thumbed")
    def test_the_method_decides_on_the_data(self, store: Store, home: Home, erd: Category) -> None:
        dpo = self.queued(store, home, Plan(erd, "demo", {"method": "dpo", "beta": 0.3}))
        items = datasets.items(store, dpo.dataset_id, "train")
        assert (dpo.method, dpo.settings["method"], dpo.settings["beta"]) == ("dpo", "dpo", 0.3)
        assert len(items) == 8 and all(item.rejected and item.target.endswith("what is right") for item in items)
        assert dpo.total_steps == dpo.settings["epochs"]
        kto = self.queued(store, home, Plan(erd, "demo", {"method": "kto"}))
        thumbs = datasets.items(store, kto.dataset_id)
        assert {item.desirable for item in thumbs if item.split == "train"} == {True, False}
        assert not any(item.rejected for item in thumbs)
        # Nothing of it is taken from the lessons that the worker counts, nor from those of a run by hand.
        assert training.taken(store, home, erd) == set()
        sft = self.queued(store, home, Plan(erd, "demo", {}))
        assert sft.method == "sft" and training.taken(store, home, erd)

    @pytest.mark.usefixtures("thumbed")
    def test_the_rate_is_a_twentieth_unless_it_is_named_for_the_method(
        self, store: Store, home: Home, erd: Category
    ) -> None:
        usual = self.queued(store, home, Plan(erd, "demo", {})).settings["learning_rate"]

        def rate(config: Config = PLAIN, **given: Any) -> float:
            return float(self.queued(store, home, Plan(erd, "demo", given), config).settings["learning_rate"])

        def with_train(**settings: Any) -> Config:
            return replace(PLAIN, train=Train("demo", settings))

        assert rate(method="dpo") == rate(method="kto") == pytest.approx(usual / 20)
        assert rate(method="dpo", learning_rate=3e-4) == 3e-4
        assert rate(with_train(learning_rate=1e-3), method="dpo") == pytest.approx(5e-5)
        assert rate(with_train(method="dpo", learning_rate=1e-3)) == 1e-3
        assert rate(with_train(method="dpo", learning_rate=1e-3), method="kto") == pytest.approx(5e-5)
        assert rate(with_train(method="dpo")) == pytest.approx(usual / 20)
        assert rate(with_train(learning_rate=1e-7), method="kto") == 1e-8
        ui_state.save(store, "search.best.erd.demo", {"settings": {"learning_rate": 4e-4}})
        assert rate(method="dpo") == pytest.approx(2e-5), "found with lessons"
        assert rate(with_train(method="dpo")) == 4e-4, "found with pairs"
        ui_state.save(store, "search.best.erd.demo", None)
        shown = training.default_settings(store, with_train(method="kto"), "erd", "demo")
        assert shown["learning_rate"] == pytest.approx(usual / 20)

    @pytest.mark.usefixtures("thumbed")
    def test_the_worker_trains_on_what_it_counts(self, store: Store, home: Home, erd: Category) -> None:
        config = replace(PLAIN, train=Train("demo", {"method": "dpo"}))
        run = self.queued(store, home, Plan(erd, "demo", {}, origin="adaptive", limit=5), config)
        assert run.method == "sft" and run.settings["method"] == "sft"
        assert len(datasets.items(store, run.dataset_id, "train")) == 5

    @pytest.mark.usefixtures("thumbed")
    def test_pairs_go_on_from_a_version_that_learned_lessons(self, store: Store, home: Home, erd: Category) -> None:
        first = self.queued(store, home, Plan(erd, "demo", {}))
        version = versions.get(store, version_of(store, first.id, 1))
        again = self.queued(store, home, Plan(erd, "demo", {"method": "dpo"}, start=version))
        assert (again.start_version, again.parent_version, again.method) == (version.id, version.id, "dpo")
        items = datasets.items(store, again.dataset_id, "train")
        assert len(items) == 8 and {item.origin for item in items} == {"event"}
        later = versions.get(store, version_of(store, again.id, 2))
        assert training.learned(store, later) == training.learned(store, version)
        with pytest.raises(RunError, match="nothing to train on yet"):
            start_run(store, home, PLAIN, Plan(erd, "demo", {"method": "dpo"}, start=later))

    def test_no_run_without_both_thumbs_or_without_pairs(
        self, store: Store, home: Home, erd: Category, filled: list[int]
    ) -> None:
        judgments.judge(store, filled[0], "good", now=NOW)
        with pytest.raises(RunError, match="none bad") as one_sided:
            start_run(store, home, PLAIN, Plan(erd, "demo", {"method": "kto"}))
        with pytest.raises(RunError, match="0 of 0 pairs") as empty:
            start_run(store, home, PLAIN, Plan(erd, "demo", {"method": "dpo"}))
        assert one_sided.value.hint and empty.value.hint
        assert runs.list_runs(store) == []

    @pytest.mark.usefixtures("thumbed")
    def test_preflight_knows_what_each_method_needs(self, store: Store, home: Home, erd: Category) -> None:
        base = resolve_base("demo", home).path

        def told(method: str, items: Sequence[DatasetItem]) -> tuple[str, str]:
            found = preflight(base, TrainSettings(method=method), items, home.runs)  # type: ignore[arg-type]
            return " ".join(found.problems), " ".join(found.warnings)

        pairs_of, thumbs_of = (
            datasets.items(store, self.queued(store, home, Plan(erd, "demo", {"method": name})).dataset_id)
            for name in ("dpo", "kto")
        )
        assert told("dpo", pairs_of)[0] == told("kto", thumbs_of)[0] == ""
        assert "8 training pairs are few" in told("dpo", pairs_of)[1]
        assert "no rejected answer" in told("dpo", thumbs_of)[0]
        liked = [item for item in thumbs_of if item.desirable]
        assert "training answers were liked" in told("kto", liked)[0]
        trained_on = [item for item in thumbs_of if item.split == "train"]
        watching = [replace(liked[0], split="validation", prompt="another")]
        assert "validation answers were liked" in told("kto", [*trained_on, *watching])[0]
        turns = [{"role": "user", "content": "hello"}]
        tested = replace(pairs_of[0], split="test", rejected="")
        assert "1 prompts stand both" in told("dpo", [*pairs_of, tested])[0]
        assert told("dpo", [*pairs_of, replace(tested, history=turns)])[0] == "", "the same words in another chat"


class TestFrom:
    """`train --from`, by way of the loop."""

    @pytest.fixture
    def loop(self, store: Store, home: Home, filled: list[int], monkeypatch: pytest.MonkeyPatch) -> Any:
        home.config.write_text('[select]\nembeddings = "none"\n[categories.erd]\nvalidator = "none"\n', "utf-8")
        with LearningLoop(home) as opened:
            monkeypatch.setattr(opened.dispatcher, "tend", lambda: [])
            yield opened

    def test_by_name_or_id(self, loop: LearningLoop, make: Make) -> None:
        version = make(1)
        for named in (version.name, str(version.id)):
            run = loop.run(loop.start_run("erd", start=named))
            assert (run.start_version, run.parent_version, run.origin) == (version.id, version.id, "manual")
        assert loop.run(loop.start_run("erd")).start_version is None, "a person starts afresh unless told otherwise"

    def test_what_cannot_be_gone_on_from_queues_nothing(self, loop: LearningLoop, make: Make) -> None:
        make(1, adapter=False)
        with pytest.raises(FinetuneError, match=r"no version 'ft-demo-erd-v7'") as unknown:
            loop.start_run("erd", start="ft-demo-erd-v7")
        assert "ft-demo-erd-v1" in unknown.value.hint
        with pytest.raises(RunError, match="is gone"):
            loop.start_run("erd", start="ft-demo-erd-v1")
        assert loop.runs() == []


def test_a_folder_is_named_by_its_whole_path(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets import ASSETS

    monkeypatch.chdir(ASSETS / "demo")
    assert training.named_base("model", home) == str((ASSETS / "demo" / "model").resolve())
    assert training.named_base("demo", home) == "demo"


def test_the_level_follows_the_held_out_scores(store: Store, make: Make) -> None:
    scores = [80.0, 90.0, 70.0, 99.0]
    levels = []
    for number, score in enumerate(scores, 1):
        version = make(number)
        versions.update(store, version.id, metrics={"mean_score": score, "n": 10})
        levels.append(training.level(store, "erd"))
    # 80, 90, 70 have a mean of 80 > 75: one level up, and the count begins anew.
    assert levels == [0, 0, 1, 1]
