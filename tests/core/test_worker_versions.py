"""What an automatic training goes on from, learns and replays."""

from __future__ import annotations

import pytest
from worker_kit import PLAIN, Open, batch, did, feed, finish, look

from core.training import adapter_of
from core.worker import Worker
from storage import datasets


def test_the_second_training_goes_on_from_the_first_and_replays_gold(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    first, v1 = batch(loop, 1), finish(loop, 1, verdict="need more data")
    fresh = feed(loop, 20, first=20)
    report = look(at_work)
    assert report.did[0].text.endswith(f"a batch of 20, going on from {v1.name}")
    run = loop.run(2)
    assert run.start_version == v1.id
    assert batch(loop, 2) == set(fresh)
    replayed = batch(loop, 2, "replay")
    assert replayed <= first
    assert len(replayed) == 7  # a quarter of all: 20 × 0.25 / 0.75


def test_the_shape_of_the_adapter_is_that_of_the_version_it_goes_on_from(opened: Open) -> None:
    loop = opened(f"{PLAIN}[train]\nrank = 4\nepochs = 1\n")
    feed(loop, 20)
    look(Worker(loop))
    finish(loop, 1)
    loop = opened(f"{PLAIN}[train]\nrank = 16\nepochs = 2\n")
    feed(loop, 20, first=20)
    look(Worker(loop))
    settings = [(loop.run(run).settings["rank"], loop.run(run).settings["epochs"]) for run in (1, 2)]
    assert settings == [(4, 1), (4, 2)]


def test_after_a_lost_test_the_next_goes_on_from_the_version_before(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    first, v1 = batch(loop, 1), finish(loop, 1, verdict="promote")
    second = set(feed(loop, 20, first=20))
    look(at_work)
    v2 = finish(loop, 2, verdict="keep")
    third = set(feed(loop, 20, first=40))
    assert did(look(at_work)) == [("started", "erd")]
    assert loop.run(2).start_version == v1.id
    assert loop.run(3).start_version == v1.id != v2.id
    assert batch(loop, 3) == second | third  # v1 has not learned what v2 had
    assert batch(loop, 3, "replay") <= first


def test_a_version_whose_adapter_is_gone_is_passed_over(opened: Open) -> None:
    loop = opened()
    feed(loop, 20)
    at_work = Worker(loop)
    look(at_work)
    v1 = finish(loop, 1)
    adapter_of(loop.home, v1).unlink()
    feed(loop, 20, first=20)
    assert did(look(at_work)) == [("started", "erd")]
    assert loop.run(2).start_version is None


def test_without_incremental_each_version_begins_afresh(opened: Open) -> None:
    loop = opened(f"{PLAIN}[loop]\nincremental = false\n")
    first = set(feed(loop, 20))
    at_work = Worker(loop)
    look(at_work)
    finish(loop, 1, verdict="promote")
    second = set(feed(loop, 20, first=20))
    report = look(at_work)
    assert "going on" not in report.did[0].text
    assert loop.run(2).start_version is None
    assert batch(loop, 2) == first | second


@pytest.mark.parametrize("config", [PLAIN, f"{PLAIN}[loop]\nincremental = false\n"])
def test_versions_that_lose_do_not_train_the_same_again_and_again(opened: Open, config: str) -> None:
    """Whatever a new version goes on from, its batch takes what is fresh: without new feedback it comes to rest."""
    loop = opened(config)
    at_work = Worker(loop)
    fed: set[int] = set()
    for round_ in range(6):  # from the sixth on there are more than a batch can take
        fed |= set(feed(loop, 20, first=20 * round_))
        report = look(at_work)
        assert did(report) == [("started", "erd")]
        newest = loop.runs("erd")[0].id
        finish(loop, newest, verdict="keep")
        assert look(at_work).did == []
        assert datasets.taken_event_ids(loop.store, "erd", "demo") == fed
        learned = batch(loop, newest)
        assert 20 <= len(learned) <= 100
        assert len(batch(loop, newest, "replay")) <= 33
