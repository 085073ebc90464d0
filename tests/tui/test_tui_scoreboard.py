"""The scoreboard by the keys that a person presses: pairs with votes and findings, orders, history, what is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from pilot_kit import until
from test_tui_runs_and_models import a_test, footer, opened, registry, shown

from core.loop import LearningLoop
from core.paths import Home
from core.prove import rating
from storage import ab_tests, ab_votes, events
from storage.db import Store
from storage.rows import AbPairRow, NewEvent
from tui.app import FinetuneApp
from tui.screens.ab_details import AbDetailsScreen
from tui.screens.pair import PairScreen
from tui.screens.reading import ReadingScreen
from tui.versions.standings import StandingsBook
from tui.widgets.ab_tables import ComparisonTable, ExampleTable
from tui.widgets.served_line import ServedLine

__all__ = ["registry"]


def vote(store: Store, test: int, position: int, choice: ab_votes.VoteChoice) -> None:
    ab_votes.add(store, at=time.time(), test_id=test, position=position, choice=choice, swapped=False)


def lines(app: FinetuneApp) -> list[str]:
    table = app.screen.query_one(ExampleTable)
    return [table._line(pair, 80).plain for pair in table.shown]


async def test_a_pair_shows_who_won_by_score_and_by_vote_and_what_is_found(
    app: FinetuneApp, store: Store, registry: SimpleNamespace, an_event: Callable[..., NewEvent]
) -> None:
    event = events.add_many(store, [an_event(1)])[0]
    test = ab_tests.start(store, created_at=2.0, category="erd", version_a=registry.v1, version_b=registry.v3, seed=0,
                          settings={})  # fmt: skip
    broken, whole = "erDiagram\n    a ||--o{ b : x\n    a {\n        string n\n    }\n", "no diagram"
    ab_tests.add_pairs(store, [AbPairRow(test, 0, event, "Draw", broken, whole, 90.0, 10.0, 0.5, 2.0, 5, 1, "a")])
    vote(store, test, 0, "a")
    vote(store, test, 0, "b")
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("scoreboard", test=test)
        await until(pilot, lambda: lines(app) == ["    1 ✓ won  ♦  90.0 →  10.0  -80.0  Draw"])
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, PairScreen) and "baseline" in shown(app, "#pair-findings"))
        head = shown(app, "#pair-head")
        assert "✓ won: the candidate is better, by vote" in head
        assert "scores: 90.0 → 10.0 (-80.0), the baseline" in head
        assert (
            "vote: candidate, then on the right, just now (2 votes; the newest counts); the scores say the other"
            in (head.replace("\n", " "))
        )
        assert str(app.screen.query_one("#answers-left").border_subtitle) == "score 90.0 · 0.5 s · 5 tokens"
        assert str(app.screen.query_one("#answers-right").border_subtitle) == "score 10.0 · 2 s · 1 token"
        assert "✗" in shown(app, "#pair-findings")
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, ReadingScreen))
        assert "Candidate: ft-demo-erd-v3" in app.screen.copyable()  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PairScreen))
        assert app.screen.copyable() == f"{broken}\n\n----\n\n{whole}"  # type: ignore[attr-defined]
        await pilot.press("e")
        await until(pilot, lambda: app.screen.MODE == "review")  # type: ignore[attr-defined]
        await until(pilot, lambda: app.screen.table.current == event)  # type: ignore[attr-defined]


async def test_a_pair_that_nothing_could_judge_is_open_until_a_vote(
    app: FinetuneApp, store: Store, registry: SimpleNamespace
) -> None:
    test = ab_tests.start(store, created_at=2.0, category="erd", version_a=registry.v1, version_b=registry.v3, seed=0,
                          settings={})  # fmt: skip
    pair = AbPairRow(test, 0, None, "Draw", "one", "two", 50.0, 50.0, 0.1, 0.1, 1, 1, "tie", judged=False)
    ab_tests.add_pairs(store, [pair])
    async with app.run_test(size=(80, 24)) as pilot:
        app.open("scoreboard", test=test)
        await until(pilot, lambda: len(lines(app)) == 1 and "? open" in lines(app)[0] and "no score" in lines(app)[0])
        vote(store, test, 0, "both_bad")
        await until(pilot, lambda: "= tie  ♦" in lines(app)[0])
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, PairScreen))
        assert "= tie, by vote" in shown(app, "#pair-head")
        assert "nothing could judge these answers" in shown(app, "#pair-head")
        assert "not judged" in str(app.screen.query_one("#answers-left").border_subtitle)
        assert [key for key in footer(app) if key == "Open event"] == ["Open event"]
        assert app.screen.check_action("event", ()) is None and app.screen.check_action("go", (1,)) is None


async def test_f_goes_through_the_orders_and_says_which_it_is(
    app: FinetuneApp, store: Store, registry: SimpleNamespace
) -> None:
    vote(store, registry.test, 7, "a")
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        table = app.screen.query_one(ExampleTable)
        await until(pilot, lambda: len(table.ids) == 120)
        assert table.border_title == "Examples, in order"
        await pilot.press("f")
        assert table.border_title == "Examples, losses first" and table.ids[0] == 110
        await pilot.press("f")
        assert table.border_title == "Examples, votes first" and list(table.ids[:2]) == [7, 0]
        await pilot.press("f")
        assert table.border_title == "Examples, in order" and table.ids[0] == 0


async def test_the_place_and_the_order_are_found_again(
    new_app: Callable[[], FinetuneApp], store: Store, registry: SimpleNamespace
) -> None:
    a_test(store, registry.v1, registry.v3, wins=3, losses=3)
    app = new_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await pilot.press("j")
        table = app.screen.query_one(ExampleTable)
        await until(pilot, lambda: len(table.ids) == 120)
        await pilot.press("f", "enter", "j", "j")
        await until(pilot, lambda: table.current == 112)
        await pilot.press("1")
        await pilot.pause()
    app = new_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: app.screen.query_one(ComparisonTable).current == registry.test)
        await until(pilot, lambda: app.screen.query_one(ExampleTable).current == 112)
        assert app.screen.query_one(ExampleTable).order == "losses"


@pytest.mark.parametrize("saved", [{"test": "x", "example": [], "order": "best"}, {"test": 999, "example": -3}, {}])
async def test_a_state_of_another_version_does_no_harm(
    app: FinetuneApp, registry: SimpleNamespace, saved: dict[str, object]
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "6", "scoreboard")
        app.screen.restore(saved)  # type: ignore[attr-defined]
        app.screen.refresh_data()  # type: ignore[attr-defined]
        await until(pilot, lambda: len(lines(app)) == 120)


async def test_another_screen_asks_for_a_test(app: FinetuneApp, store: Store, registry: SimpleNamespace) -> None:
    newer = a_test(store, registry.v1, registry.v3, wins=3, losses=3)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        table = app.screen.query_one(ComparisonTable)
        await until(pilot, lambda: table.current == newer)
        await opened(pilot, "1", "dashboard")
        app.open("scoreboard", test=registry.test)
        await until(pilot, lambda: table.current == registry.test and "Promote" in shown(app, "#verdict-line"))
        assert app.screen.copyable().startswith("s It wins 92% of 120 tests")  # type: ignore[attr-defined]


async def test_the_keys_say_what_they_would_do(app: FinetuneApp, registry: SimpleNamespace) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: "Undo" in footer(app))
        told = {one.binding.id: one.tooltip for one in app.screen.active_bindings.values()}
        assert told["production.promote"] == "Put ft-demo-erd-v2 into production, in place of ft-demo-erd-v1"
        back = "ft-erd answers with ft-demo-erd-v0 again"
        assert told["production.rollback"] == f"{back}, no longer with ft-demo-erd-v1"
        assert told["production.undo"].startswith("Take back the promotion of ft-demo-erd-v1 (")
        assert told["production.undo"].endswith(back)
        assert "ft-demo-erd-v3 and what serves today" in told["scoreboard.test"]
        line = app.screen.query_one(ServedLine).text.plain
        assert line.startswith(
            "ft-erd answers with ★ ft-demo-erd-v1 · r puts back ft-demo-erd-v0 · u takes back the pro"
        )


async def test_history_and_details_open_over_it_and_escape_leads_back(
    app: FinetuneApp, registry: SimpleNamespace
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: len(lines(app)) == 120)
        await pilot.press("h")
        await until(pilot, lambda: type(app.screen) is ReadingScreen)
        assert "▲ promoted the base model → ft-demo-erd-v1" in app.screen.copyable()  # type: ignore[attr-defined]
        await pilot.press("h")
        await until(pilot, lambda: "Details" not in footer(app) and "Vote" in footer(app))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, AbDetailsScreen))
        assert "Ratings over all tests" in app.screen.copyable()  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.is_modal)


async def test_a_test_that_is_stopped_keeps_its_answers_and_is_no_error(
    app: FinetuneApp, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(self: LearningLoop, version_id: int, *, progress: Callable[[int, int], None]) -> None:
        end = time.monotonic() + 60.0
        done = 0
        while time.monotonic() < end:
            done += 1
            progress(done, 1_000)
            time.sleep(0.01)

    monkeypatch.setattr(LearningLoop, "ab", compare)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        tests = app.screen.query_one("#ab-tests")
        await until(pilot, lambda: "A/B test" in footer(app))
        assert "Stop" not in footer(app)
        await pilot.press("a")
        await until(pilot, lambda: "of 1,000 prompts answered · x stops" in str(tests.border_subtitle))
        assert "A/B test" not in footer(app) and len(footer(app)) <= 6
        await pilot.press("x")
        await until(pilot, lambda: str(tests.border_subtitle) == "" and "A/B test" in footer(app))
        assert "Stop" not in footer(app) and app.session.unseen == 0


async def test_a_test_that_fails_is_told_once(
    app: FinetuneApp, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(self: LearningLoop, version_id: int, *, progress: Callable[[int, int], None]) -> None:
        raise OSError("the file is gone")

    monkeypatch.setattr(LearningLoop, "ab", compare)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "6", "scoreboard")
        await until(pilot, lambda: "A/B test" in footer(app))
        await pilot.press("a")
        await until(pilot, lambda: app.session.unseen == 1)
        await until(pilot, lambda: "A/B test" in footer(app))


def test_strengths_are_reckoned_once_for_what_they_follow_from(
    home: Home, store: Store, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = rating.ratings, []

    def counted(store: Store, category: str) -> object:
        asked.append(category)
        return real(store, category)

    monkeypatch.setattr(rating, "ratings", counted)
    book = StandingsBook()
    assert book.get("erd", 1) is None
    first = book.read(home, "erd", 1)
    assert book.read(home, "erd", 1) is first is book.get("erd", 1) and asked == ["erd"]
    assert [each.version for each in first.ratings] == [registry.v2, registry.v1]
    assert book.get("erd", 2) is None and book.read(home, "erd", 2).ratings == first.ratings and len(asked) == 2
