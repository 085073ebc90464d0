"""What a person says of an answer is in the store, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from play_kit import GOOD, PROMPT

from core.backends.backend import Generation, Sampling
from core.errors import ConflictError, FinetuneError
from core.paths import Home
from core.playground import keeping
from core.playground.take import Question, Take
from storage import comparisons, events, judgments, pairs
from storage.db import Store
from storage.rows import EventFilter

ASKED = Question("erd", PROMPT)


def a_take(text: str = GOOD, *, question: Question = ASKED, before: tuple[Take, ...] = (), arm: str = "a") -> Take:
    take = Take(question, "ft-demo-erd-v1", Sampling(seed=3), f"playground-1-{arm}", before)
    take._state = "answering"
    take.add(text)
    take.end(Generation(text, 5, 40, 0.5, "stop"))
    return take


def count(store: Store) -> int:
    return events.count(store, EventFilter())


class TestJudging:
    def test_good(self, store: Store, home: Home) -> None:
        take = a_take(question=replace(ASKED, system="Be brief.", sent="Usual."))
        kept = keeping.judge(store, home, take, "good", seconds=2.0)
        event = events.get(store, kept.event_id)
        assert (event.verdict, event.source, event.model) == ("good", "playground", "ft-demo-erd-v1")
        assert (event.prompt, event.response, event.system) == (PROMPT, GOOD, "Be brief.")
        assert (event.metadata["seed"], event.metadata["finish_reason"]) == (3, "stop")
        assert event.score is not None
        assert take.event_id == kept.event_id
        assert not kept.known

    def test_a_second_verdict_is_on_the_same_event(self, store: Store, home: Home) -> None:
        take = a_take()
        first, second = (keeping.judge(store, home, take, kind) for kind in ("good", "bad"))
        assert first.event_id == second.event_id
        assert events.get(store, first.event_id).verdict == "bad"
        assert count(store) == 1

    def test_said_taken_back_and_said_again(self, store: Store, home: Home) -> None:
        take = a_take()
        kept = keeping.judge(store, home, take, "good")
        keeping.undo_judgment(store, home, kept.event_id)
        assert events.get(store, kept.event_id).verdict is None
        keeping.judge(store, home, a_take(), "good")  # the very same answer once more
        assert events.get(store, kept.event_id).verdict == "good"
        assert count(store) == 1

    def test_a_correction_makes_a_pair(self, store: Store, home: Home) -> None:
        bad = "erDiagram\n    thing\n"
        kept = keeping.judge(store, home, a_take(bad), "correct", correction=GOOD)
        assert kept.paired
        (pair,) = pairs.list_pairs(store, "erd")
        assert (pair.chosen, pair.rejected, pair.source) == (GOOD, bad, "correction")

    def test_the_turns_before_are_recorded(self, store: Store, home: Home) -> None:
        history = ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"})
        kept = keeping.judge(store, home, a_take(question=replace(ASKED, history=history)), "good")
        assert list(events.get(store, kept.event_id).history) == list(history)

    @pytest.mark.parametrize("text", ["", " \n "])
    def test_an_empty_answer_is_refused(self, text: str, store: Store, home: Home) -> None:
        with pytest.raises(FinetuneError):
            keeping.judge(store, home, a_take(text), "good")
        assert count(store) == 0

    def test_a_judgment_that_is_refused_leaves_no_event_and_no_number(self, store: Store, home: Home) -> None:
        take = a_take()
        with pytest.raises(ConflictError):
            keeping.judge(store, home, take, "correct", correction=None)
        assert count(store) == 0
        assert take.event_id is None

    def test_what_was_judged_elsewhere_since_is_not_taken_back(self, store: Store, home: Home) -> None:
        kept = keeping.judge(store, home, a_take(), "good")
        other = keeping.judge(store, home, a_take("erDiagram\n"), "bad")
        with pytest.raises(ConflictError, match="judged after"):
            keeping.undo_judgment(store, home, kept.event_id)
        assert events.get(store, other.event_id).verdict == "bad"


class TestRegenerated:
    def test_the_answer_before_comes_along_with_its_mark(self, store: Store, home: Home) -> None:
        old = a_take("erDiagram\n    old\n")
        old.regenerated = True
        kept = keeping.judge(store, home, a_take(before=(old,)), "good")
        (number,) = kept.replaced
        replaced, new = events.get(store, number), events.get(store, kept.event_id)
        assert replaced.metadata["regenerated"] is True
        assert "regenerated" not in new.metadata
        assert replaced.group_key == new.group_key != ""
        assert (replaced.created_at, replaced.id) < (new.created_at, new.id)
        assert replaced.verdict is None

    def test_the_same_text_again_is_not_recorded_twice(self, store: Store, home: Home) -> None:
        assert keeping.judge(store, home, a_take(before=(a_take(),)), "good").replaced == ()
        assert count(store) == 1

    def test_what_is_done_after_recording_reaches_the_event(self, store: Store, home: Home) -> None:
        take = a_take()
        keeping.note(store, take)
        assert count(store) == 0
        kept = keeping.keep(store, home, take)
        take.copied = take.regenerated = True
        keeping.note(store, take)
        metadata = events.get(store, kept.event_id).metadata
        assert metadata["copied"] is True
        assert metadata["regenerated"] is True
        assert metadata["seed"] == 3


class TestCompared:
    def test_both_are_recorded_with_their_pair(self, store: Store, home: Home) -> None:
        one, other = a_take(), a_take("erDiagram\n    other\n", arm="b")
        voted = keeping.compare(store, home, one, other, "second", swapped=True, seconds=3.0)
        assert voted.paired
        (pair,) = pairs.list_pairs(store, "erd")
        assert (pair.chosen_event, pair.rejected_event) == (other.event_id, one.event_id)
        (row,) = comparisons.in_force(store, "erd")
        assert (row.first_event, row.second_event, row.swapped) == (one.event_id, other.event_id, True)
        keeping.undo_vote(store, voted)
        assert pairs.list_pairs(store, "erd") == []
        assert count(store) == 2

    def test_a_tie_makes_no_pair(self, store: Store, home: Home) -> None:
        voted = keeping.compare(store, home, a_take(), a_take("x y z", arm="b"), "tie", swapped=False)
        assert not voted.paired
        assert pairs.list_pairs(store, "erd") == []

    def test_the_same_text_is_nothing_to_compare(self, store: Store, home: Home) -> None:
        with pytest.raises(ConflictError, match="same text"):
            keeping.compare(store, home, a_take(), a_take(arm="b"), "first", swapped=False)
        assert count(store) == 0


class TestKept:
    def test_undo_removes_it_for_good(self, store: Store, home: Home) -> None:
        take = a_take()
        kept = keeping.keep(store, home, take)
        assert events.get(store, kept.event_id).verdict is None
        keeping.undo_keep(store, [take], [kept.event_id])
        assert count(store) == 0
        assert take.event_id is None
        assert not keeping.keep(store, home, take).known

    def test_what_was_judged_since_stays(self, store: Store, home: Home) -> None:
        take = a_take()
        kept = keeping.keep(store, home, take)
        judgments.judge(store, kept.event_id, "good", now=1.0)
        with pytest.raises(FinetuneError):
            keeping.undo_keep(store, [take], [kept.event_id])
        assert count(store) == 1
        assert take.event_id == kept.event_id
