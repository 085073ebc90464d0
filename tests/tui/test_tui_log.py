"""The log of the session: what was said is found again, errors are counted until they were looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import OptionList

from core.errors import FinetuneError
from core.paths import Home
from tui.app import FinetuneApp
from tui.screens.log import LogScreen
from tui.session_log import TAIL_ENTRIES, SessionLog, read_tail
from tui.widgets.top_bar import TopBar

BEFORE = """\
2026-01-02 03:04:05,678 ERROR saving: The disk is full.
2026-01-02 03:05:00,000 ERROR drawing: boom
Traceback (most recent call last):
  File "x.py", line 1, in <module>
ValueError: boom
"""


def rows(app: FinetuneApp) -> list[str]:
    options = app.screen.query_one(OptionList)
    return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]


def bar(app: FinetuneApp) -> str:
    assert app.front is not None
    return str(app.front.query_one(TopBar).render())


def test_the_end_of_the_file_is_read_entry_by_entry(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("rest of a cut entry\n" + BEFORE, encoding="utf-8")
    one, two = read_tail(path, path.stat().st_size)
    assert (one.at, one.severity, one.doing, one.message, one.trace) == (
        "2026-01-02 03:04:05", "error", "saving", "The disk is full.", "",
    )  # fmt: skip
    assert two.message == "ValueError: boom" and two.trace.startswith("Traceback") and "x.py" in two.as_text()


def test_of_a_long_file_only_the_end_is_read_and_nothing_after_the_start(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    line = "2026-01-02 03:04:05,678 WARNING saving: number {:06}\n"
    path.write_text("".join(line.format(number) for number in range(5_000)), encoding="utf-8")
    log = SessionLog(path)
    log.write_error("now", ValueError("of this session"), trace=False)
    found = log.earlier()
    assert len(found) == TAIL_ENTRIES and found[-1].message == "number 004999"
    assert found[0].severity == "warning"
    log.close()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00 nonsense", b"no date at all\n" * 10])
def test_a_file_that_is_no_log_has_no_entries(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(content)
    assert read_tail(path, len(content)) == []
    assert read_tail(tmp_path / "none.log", 0) == []


def test_what_repeats_itself_is_one_entry_and_counts_once_until_it_was_seen(tmp_path: Path) -> None:
    log = SessionLog(tmp_path / "app.log")
    for _ in range(3):
        log.add("error", "Gone", "The disk is gone", doing="reading")
    assert (log.unseen, [entry.times for entry in log.entries]) == (1, [3])
    assert "error (×3): Gone" in log.entries[0].as_text()
    log.add("error", "Gone", "The disk is gone", doing="saving")
    assert (log.unseen, [entry.times for entry in log.entries]) == (2, [3, 1])
    log.unseen = 0
    log.add("error", "Gone", "The disk is gone", doing="saving")
    assert (log.unseen, [entry.times for entry in log.entries]) == (1, [3, 2])


async def test_errors_are_counted_until_they_are_looked_at(app: FinetuneApp, home: Home) -> None:
    (home.logs / "app.log").write_text(BEFORE, encoding="utf-8")
    app.session = SessionLog(home.logs / "app.log")
    async with app.run_test(size=(80, 24)) as pilot:
        app.tell("Saved [/].")
        app.report(FinetuneError("No room [b].", title="Full", hint="Delete something."), "writing it", toast=False)
        app.report(ValueError("boom"), "drawing")
        await pilot.pause()
        assert "✗ 2 ^l" in bar(app)
        await pilot.press("ctrl+l")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        shown = rows(app)
        assert [line.split("\n")[0][-18:].split()[-1] for line in shown] == ["full.", "boom", "[/].", "Full", "wrong"]
        assert "→ Delete something." in shown[3] and "while writing it" in shown[3] and "✗ error" in shown[3]
        assert app.screen.query_one(OptionList).highlighted == 4
        await pilot.press("e")
        assert len(rows(app)) == 4
        await pilot.press("k", "y")
        assert app.clipboard.endswith("error: Full\nNo room [b].\nDelete something.\nWhile writing it.")
        await pilot.press("escape")
        await pilot.pause()
        assert "✗" not in bar(app)


async def test_the_log_opens_over_a_dialogue_and_says_when_it_is_empty(app: FinetuneApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark", "ctrl+l")
        assert isinstance(app.screen, LogScreen) and app.screen.has_class("-nothing")
        await pilot.press("y")
        assert app.clipboard == ""
        await pilot.press("escape")
        assert not isinstance(app.screen, LogScreen) and app.screen.is_modal
