"""Blind votes in the app, used by the keys that a person presses."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from pilot_kit import until
from textual.pilot import Pilot
from textual.widgets import Footer, Static
from textual.widgets._footer import FooterKey

from core.config import Ab
from core.paths import Home
from core.prove.ab import result_of
from core.prove.breakdown import Part
from core.prove.rating import Rating
from core.prove.voting import Question, Shown, Sitting, sitting
from storage import ab_tests, ab_votes, versions
from storage.db import Store
from storage.rows import AbPairRow
from tui.app import FinetuneApp
from tui.screens.ab_details import AbDetailsScreen, by_part, strengths
from tui.screens.help import HelpScreen
from tui.screens.vote import VoteScreen
from tui.widgets.ab_tables import ComparisonTable
from tui.widgets.half import Half
from tui.widgets.two_answers import TwoAnswers
from tui.widgets.verdict import verdict_line

HOSTILE = "[/x] [bold]y[/bold] \x1b[31m\x07"
NAMES = ("ft-demo-erd-v0", "ft-demo-erd-v1")


def a_version(store: Store, home: Home, number: int) -> int:
    folder = f"models/demo/erd/v{number}"
    (home.root / folder).mkdir(parents=True)
    (home.root / folder / "f16.gguf").write_bytes(b"GGUF")
    added = versions.add(
        store, created_at=float(number), name=NAMES[number], category="erd", base_model="demo", number=number,
        run_id=None, parent_id=None, dataset_id=None, folder=folder, settings={}, code_version="0",
    )  # fmt: skip
    file = {"path": f"{folder}/f16.gguf", "sha256": hashlib.sha256(b"GGUF").hexdigest(), "bytes": 4}
    versions.update(store, added, gguf={"f16": file}, proof=[], proved=True)
    return added


@pytest.fixture
def compared(store: Store, home: Home) -> SimpleNamespace:
    """Two versions with six different answers each, of which the candidate's score higher, and two equal ones."""
    a, b = a_version(store, home, 0), a_version(store, home, 1)
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a, version_b=b, seed=3, settings={})
    pairs = [
        AbPairRow(test, at, None, f"Prompt {at} {HOSTILE}", f"first {at} {HOSTILE}",
                  f"first {at} {HOSTILE}" if at > 5 else f"second {at}", 40.0, 40.0 if at > 5 else 90.0, 0.1, 0.1, 5, 5,
                  "tie" if at > 5 else "b")
        for at in range(8)
    ]  # fmt: skip
    ab_tests.add_pairs(store, pairs)
    ab_tests.finish(store, test, {**result_of(pairs, 70.0, Ab(), seed=0), "summary": "s"}, 2.0)
    return SimpleNamespace(a=a, b=b, test=test, order=sitting(store, a, b).questions)


def shown(app: FinetuneApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).visual)


async def voting(app: FinetuneApp, pilot: Pilot[None]) -> None:
    await pilot.press("6")
    await until(pilot, lambda: len(app.screen.query_one("#ab-pairs").ids) == 8)  # type: ignore[attr-defined]
    await pilot.press("v")
    await until(pilot, lambda: isinstance(app.screen, VoteScreen) and "to go" in shown(app, "#vote-head"))


def said(store: Store, test: int) -> list[tuple[int, str]]:
    return [(vote.position, vote.choice) for vote in ab_votes.in_force(store, [test])]


async def test_votes_are_kept_by_arm_and_revealed_only_afterwards(
    app: FinetuneApp, compared: SimpleNamespace, store: Store
) -> None:
    first, second = compared.order[:2]
    async with app.run_test(size=(140, 40)) as pilot:
        await voting(app, pilot)
        assert "6 pairs of 6 to go" in shown(app, "#vote-head")
        everything = "".join(str(one.visual) for one in app.screen.query(Static))
        assert not any(name in everything for name in NAMES) and "90.0" not in everything
        assert (
            f"{'second' if first.swapped else 'first'} {first.position}"
            in app.screen.query_one("#answers-left", Half).text()
        )
        await pilot.press("1")
        await until(pilot, lambda: said(store, compared.test))
        assert said(store, compared.test) == [(first.position, "b" if first.swapped else "a")]
        told = shown(app, "#vote-last")
        assert told.startswith("You said: 1 is better. 1 was ft-demo-erd-v")
        assert all(name in told for name in NAMES) and "(score 90.0)" in told and "The scores say" in told
        assert f"Prompt {second.position}" in shown(app, "#answers-question")
        await pilot.press("2", "t", "b", "n", "s")
        await until(pilot, lambda: len(said(store, compared.test)) == 6)
        choices = [choice for _, choice in said(store, compared.test)]
        assert choices[1:] == ["a" if second.swapped else "b", "tie", "both_good", "both_bad", "skip"]
        assert "Nothing is left to vote on" in shown(app, "#vote-head")
        assert [vote.swapped for vote in ab_votes.in_force(store, [compared.test])] == [
            question.swapped for question in compared.order
        ]
        await pilot.press("1")
        assert len(said(store, compared.test)) == 6


async def test_undo_asks_again_as_often_as_there_are_votes(
    app: FinetuneApp, compared: SimpleNamespace, store: Store
) -> None:
    first, second = compared.order[:2]
    async with app.run_test(size=(80, 24)) as pilot:
        await voting(app, pilot)
        await pilot.press("1", "2", "u")
        await until(pilot, lambda: len(said(store, compared.test)) == 1)
        await until(pilot, lambda: f"Prompt {second.position}" in shown(app, "#answers-question"))
        assert "Taken back" in shown(app, "#vote-last") and "5 pairs of 6" in shown(app, "#vote-head")
        await pilot.press("u")
        await until(pilot, lambda: f"Prompt {first.position}" in shown(app, "#answers-question"))
        await pilot.press("u")
        await until(pilot, lambda: "Nothing is left" in shown(app, "#vote-last"))
        assert said(store, compared.test) == []
        await pilot.press("t", "escape")
        await until(pilot, lambda: not isinstance(app.screen, VoteScreen))
        await pilot.press("v")
        await until(pilot, lambda: "5 pairs of 6 to go" in shown(app, "#vote-head"))
        await pilot.press("u")
        await until(pilot, lambda: "6 pairs of 6 to go" in shown(app, "#vote-head"))


async def test_answers_stand_side_by_side_or_stacked_and_harm_nobody(
    app: FinetuneApp, compared: SimpleNamespace
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await voting(app, pilot)
        left, right = app.screen.query_one("#answers-left"), app.screen.query_one("#answers-right")
        assert left.region.x == right.region.x and left.region.y < right.region.y and right.region.height > 2
        assert "[/x] [bold]y[/bold] ␛[31m␇" in shown(app, "#answers-question")
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: left.region.y == right.region.y)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        text = "".join(str(one.visual) for one in app.screen.query(Static))
        assert "Both good" in text and "Take the last vote back" in text


async def test_the_scoreboard_tells_what_people_changed(
    app: FinetuneApp, compared: SimpleNamespace, store: Store
) -> None:
    async with app.run_test(size=(140, 40)) as pilot:
        await voting(app, pilot)
        for question in compared.order[:3]:
            await pilot.press("2" if question.swapped else "1")
        await pilot.press("escape")
        await until(pilot, lambda: "3 won, 3 lost, 2 tied of 8" in shown(app, "#verdict-figures"))
        assert "decided by 3 votes, 5 stored prompts" in shown(app, "#verdict-known")
        assert "shadowed" not in shown(app, "#verdict-known")  # none were
        assert "people agree with 0 % of the scores" in shown(app, "#verdict-known")
        listed = app.screen.query_one(ComparisonTable)
        assert "need more data  50 %" in str(listed._line(listed.selected, 138).plain)  # type: ignore[arg-type]
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, AbDetailsScreen))
        told = shown(app, "#reading-text")
        assert "3 baseline" in told and "agree on 0 of 3 pairs" in told
        assert "ft-demo-erd-v1" in told and "the base" in told and "By category" in told
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, AbDetailsScreen))


async def test_no_side_is_marked_and_the_arrows_move_both(app: FinetuneApp, compared: SimpleNamespace) -> None:
    long = VoteScreen(
        Sitting((1,), (Question(1, 0, "p\n" * 40, Shown("a\n" * 90, 1, None), Shown("b\n" * 90, 2, None), False),),
                frozenset()),
        {},
    )  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(long)
        await pilot.pause()
        assert isinstance(app.focused, TwoAnswers)
        await pilot.press("down", "j", *["down"] * 10)
        left, right, prompt = (long.query_one(f"#answers-{name}") for name in ("left", "right", "prompt"))
        assert left.scroll_offset.y == right.scroll_offset.y == 12 and prompt.scroll_offset.y == 0
        await pilot.press("tab", "down", "down")
        await until(pilot, lambda: prompt.scroll_offset.y == 2)
        assert left.scroll_offset.y == 12
        await pilot.press("tab", "up")
        assert isinstance(app.focused, TwoAnswers) and left.scroll_offset.y == right.scroll_offset.y == 11


async def test_all_keys_of_a_vote_fit_in_a_small_footer(app: FinetuneApp, compared: SimpleNamespace) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await voting(app, pilot)
        keys = list(app.screen.query_one(Footer).query(FooterKey))
        assert keys[-1].description == "Back" and max(key.region.right for key in keys) <= 80


def test_tables_of_the_details_keep_to_the_width() -> None:
    name = "duplicate attribute · links, diagram, vote, one and another"
    part = Part("pattern", name, 10, 9, 1, 0, 0, 0.9, (0.5, 1.0), 50.0, 100.0, 0.0, 1.0)
    rated = [Rating(1, 0.0, None, None, 150), Rating(2, 853.0, 512.0, 1195.0, 150)]
    for width in (40, 74, 106):
        lines = strengths(rated, lambda one: NAMES[one - 1], width, held_by_prior=False)
        assert max(map(len, lines.plain.splitlines()[2:])) <= max(width, 50)
        assert max(map(len, by_part([part], width).plain.splitlines())) <= max(width, 68)
    assert name in by_part([part], 74).plain and "  prompts" not in by_part([part], 74).plain
    assert by_part([part], 106).plain.splitlines()[2].endswith("…")


def test_the_verdict_knows_what_serves() -> None:
    assert "serves" in verdict_line({"verdict": "promote"}, 0, serves=True).plain
    assert "r rolls it back" in verdict_line({"verdict": "keep"}, 0, serves=True).plain
    assert "serves" not in verdict_line({"verdict": "promote"}, 0).plain
