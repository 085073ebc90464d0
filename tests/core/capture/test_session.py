"""The pace of a sitting, questions asked again, and agreement with oneself."""

from __future__ import annotations

import pytest
from selection_kit import new_event

from core.capture.judging import Judge
from core.capture.session import REPEAT_AFTER, agreement, repeat_due, session_figures
from core.categories import load_categories
from core.config import Config, Review, load_config
from core.errors import ConfigError
from core.paths import Home
from core.prove.stats import wilson
from storage import events, judgments
from storage.db import Store
from storage.rows import Verdict

DAY = 86_400.0
REVIEW = Review()


@pytest.fixture
def judge(store: Store, home: Home) -> Judge:
    return Judge(store, Config(), load_categories(home))


def fill(store: Store, number: int, category: str = "erd") -> list[int]:
    return events.add_many(store, [new_event(f"{category} {one}", category=category) for one in range(number)])


def say(judge: Judge, ids: list[int], *, start: float, kind: Verdict = "good") -> None:
    for place, event in enumerate(ids):
        judge.judge(event, kind, seconds=4.0, now=start + 5.0 * place)


def test_nothing_judged_has_no_pace(store: Store) -> None:
    figures = session_figures(store, since=0.0, open_events=7)
    assert (figures.count, figures.per_minute, figures.median_seconds, figures.seconds_left) == (0, 0.0, None, None)


def test_pauses_do_not_count(judge: Judge, store: Store) -> None:
    ids = fill(store, 6)
    # The first took 10 s; 20 s and 120 s on; then a pause, of which only the 30 s of the judgment after it count.
    for event, seconds, at in zip(ids, (10.0, 8.0, 40.0, 30.0), (1_000.0, 1_020.0, 1_140.0, 2_000.0), strict=False):
        judge.judge(event, "bad", seconds=seconds, now=at)
    figures = session_figures(store, since=900.0, open_events=10)
    assert figures.count == 4
    assert figures.active_seconds == 10.0 + 20.0 + 120.0 + 30.0
    assert figures.per_minute == pytest.approx(60.0 * 4 / 180.0)
    assert figures.median_seconds == 20.0
    assert figures.seconds_left == 200.0
    assert session_figures(store, since=1_100.0).count == 2
    judge.undo()
    assert session_figures(store, since=900.0).count == 3


def test_only_what_a_person_judged_one_by_one_tells_of_the_pace(judge: Judge, store: Store) -> None:
    ids = fill(store, 5)
    judge.judge_many(ids, "bad", now=10.0)
    judge.judge(ids[0], "good", now=11.0)
    judge.move(ids[:1], "workflows", now=12.0)
    assert session_figures(store, since=0.0).count == 0


def test_a_question_is_asked_again_after_so_many_verdicts(judge: Judge, store: Store) -> None:
    ids = fill(store, 120)
    say(judge, ids[:49], start=1_000.0)
    assert repeat_due(store, "erd", REVIEW, now=10 * DAY) is None
    judge.judge(ids[49], "skip", seconds=1.0, now=1_500.0)
    assert repeat_due(store, "erd", REVIEW, now=10 * DAY) is None
    say(judge, ids[50:51], start=1_600.0)
    assert repeat_due(store, "erd", REVIEW, now=1_700.0) is None, "none of them is old enough"
    due = repeat_due(store, "erd", REVIEW, now=1_700.0 + DAY)
    assert due in ids[:49]
    assert repeat_due(store, "erd", REVIEW, now=1_700.0 + DAY) == due
    assert repeat_due(store, "erd", Review(repeat_every=0), now=1_700.0 + DAY) is None
    assert repeat_due(store, "workflows", REVIEW, now=1_700.0 + DAY) is None
    judge.judge(due, "good", seconds=1.0, repeat=True, now=2 * DAY)
    assert repeat_due(store, "erd", REVIEW, now=10 * DAY) is None, "asked a moment ago"


def test_what_was_judged_fifty_verdicts_ago_is_old_too(judge: Judge, store: Store) -> None:
    ids = fill(store, 60)
    say(judge, ids[: REPEAT_AFTER + 3], start=1_000.0)
    assert repeat_due(store, "erd", REVIEW, now=1_300.0) in ids[:3]


def test_corrected_and_skipped_events_and_those_asked_before_are_not_asked_again(judge: Judge, store: Store) -> None:
    ids = fill(store, 6)
    judge.judge(ids[0], "correct", correction="an answer of quite another kind", seconds=1.0, now=1.0)
    judge.judge(ids[1], "skip", seconds=1.0, now=2.0)
    judge.judge(ids[2], "good", now=3.0)  # said by a program
    judge.judge_many(ids[3:5], "bad", now=4.0)
    judge.judge(ids[5], "reject", seconds=1.0, now=5.0)
    often = Review(repeat_every=1)
    assert repeat_due(store, "erd", often, now=2 * DAY) == ids[5]
    judge.judge(ids[5], "skip", seconds=1.0, repeat=True, now=2 * DAY)
    judge.judge(ids[2], "good", seconds=1.0, now=2 * DAY)
    assert repeat_due(store, "erd", often, now=2 * DAY + 1.0) is None
    assert repeat_due(store, "erd", often, now=4 * DAY) == ids[2]


def test_agreement_counts_answers_alone(judge: Judge, store: Store) -> None:
    ids = fill(store, 5)
    other = fill(store, 1, "workflows")
    assert (agreement(store).asked, agreement(store).interval, agreement(store).share) == (0, None, None)
    second: tuple[Verdict, ...] = ("good", "good", "bad", "skip")
    for event, again in zip(ids, second, strict=False):
        judge.judge(event, "good", seconds=1.0, now=1.0)
        judge.judge(event, again, seconds=1.0, repeat=True, now=2.0)
    judge.judge(other[0], "good", seconds=1.0, now=3.0)
    judge.judge(other[0], "correct", correction="an answer of another kind", seconds=1.0, repeat=True, now=4.0)
    found = agreement(store, "erd")
    assert (found.same, found.asked) == (2, 3)
    assert found.interval == wilson(2, 3)
    assert found.share == pytest.approx(2 / 3)
    assert (agreement(store).same, agreement(store).asked) == (2, 4)
    judge.undo()
    assert (agreement(store).same, agreement(store).asked) == (2, 3), "what was taken back counts no more"


def test_an_event_that_moved_is_asked_about_in_its_category(judge: Judge, store: Store) -> None:
    ids = fill(store, 1)
    judge.judge(ids[0], "good", seconds=1.0, now=1.0)
    judge.move(ids, "workflows", now=2.0)
    often = Review(repeat_every=1)
    assert repeat_due(store, "erd", often, now=2 * DAY) is None
    assert repeat_due(store, "workflows", often, now=2 * DAY) == ids[0]
    assert judgments.current(store, ids[0]) is not None


def test_the_setting_is_read(home: Home) -> None:
    home.config.write_text("[review]\nrepeat_every = 0\n")
    assert load_config(home).review.repeat_every == 0
    home.config.write_text("[review]\nrepeat_every = -1\n")
    with pytest.raises(ConfigError, match="repeat_every"):
        load_config(home)
