"""What the training screen says in words and bars, and the files and commands behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.paths import Home
from core.train.samples import Samples
from storage.rows import RunRow
from tui.runs.command import command_of_request, command_of_run
from tui.runs.feed import RunsView
from tui.runs.log import LogNews, RunLog
from tui.runs.plan import DataOutlook
from tui.widgets.mix_bar import mix_bar, shares
from tui.widgets.outlook import data_text, tokens_text
from tui.widgets.run_fields import RunRequest
from tui.widgets.run_lines import place_text, progress_text

RUN = RunRow(
    id=1, created_at=0.0, category="erd", base_model="demo", method="sft", status="running", stage="training",
    settings={}, dataset_id=1, parent_version=None, folder="runs/1", pid=1, pid_started=1.0, heartbeat=1.0, error="",
    stop_requested=False, started_at=0.0, finished_at=None, step=10, total_steps=100, hint="", version_id=None,
)  # fmt: skip


def test_what_it_is_made_of_what_is_kept_apart_and_how_many_tokens() -> None:
    counts = {"train": 30, "considered": 60, "eligible": 34, "validation": 4, "test": 9,
              "tiers": {"silver": 10, "gold": 20}, "stages": {"hard": 10, "easy": 20}}  # fmt: skip
    data = DataOutlook("erd: 34 of 60 eligible", counts, "", {"corrected": 20, "liked": 10})
    lines = data_text(data, "sft").plain.splitlines()
    assert lines[1] == "█" * 24 + "▓" * 12
    assert lines[2] == "█ corrected 20 (67 %) · ▓ liked 10 (33 %)"
    assert "█ gold 20 (67 %) · ▓ silver 10 (33 %)" in lines and "█ easy 20 (67 %) · ▓ hard 10 (33 %)" in lines
    assert "apart: 4 watch the training · 9 are kept for the test" in lines
    assert "tokens: v shows the examples and counts them" in lines
    counted = tokens_text(Samples((), 30, 1_200, 800, 64, {"empty answer": 2}))
    assert counted == "1,200 an epoch, 800 of them learned; longest example 64; 2: empty answer"
    assert f"tokens: {counted}" in data_text(data, "sft", tokens=counted).plain


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10**6), max_size=9), st.integers(0, 60))
def test_the_bar_is_as_long_as_it_should_be_and_shows_every_kind(counts: dict[str, int], width: int) -> None:
    cells = shares(counts, width)
    filled = [kind for kind, count in counts.items() if count]
    assert sum(cells.values()) == (width if filled else 0)
    if 0 < len(filled) <= width:
        assert all(cells[kind] >= 1 for kind in filled)


def test_the_legend_breaks_between_kinds() -> None:
    lines = mix_bar({"corrected": 115, "hard negative": 110, "liked": 59}, 36, 48).plain.splitlines()
    assert lines[1:] == [
        "█ corrected 115 (40 %)",
        "▓ hard negative 110 (39 %) · ▒ liked 59 (21 %)",
    ]
    assert not mix_bar({}, 36, 48).plain


def test_the_place_in_the_queue_is_told() -> None:
    assert [place_text(place) for place in (1, 2, 3, 4, 11, 21)] == [
        "next in the queue", "2nd in the queue", "3rd in the queue", "4th in the queue", "11th in the queue",
        "21st in the queue",
    ]  # fmt: skip
    waiting = replace(RUN, status="queued", id=9, total_steps=0, started_at=None)
    assert progress_text(waiting, None, 2).plain == "waits, 2nd in the queue: it starts by itself"
    assert RunsView([waiting, RUN, replace(waiting, id=8)], None).places == {8: 1, 9: 2}


def test_the_command_line_of_the_form_and_of_a_run(home: Home) -> None:
    settings = {"method": "sft", "epochs": 3, "learning_rate": 2e-4, "quantize_base": "auto", "warmup_ratio": 0.1,
                "beta": 0.1, "seed": 7}  # fmt: skip
    asked = command_of_request(home, RunRequest("erd", "my model", "ft-v1", settings, {}, {}))
    tail = "train erd --base 'my model' --epochs 3 --learning-rate 2e-4 --seed 7 --from ft-v1"
    assert asked.startswith("finetune-tui") and asked.endswith(tail)
    run = replace(RUN, settings={**settings, "method": "dpo"}, base_model="demo")
    assert command_of_run(home, run).endswith(
        "--base demo --method dpo --epochs 3 --learning-rate 2e-4 --beta 0.1 --seed 7"
    )


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    log = RunLog(path)
    assert log.look().lines == ()
    path.write_bytes(b"one\ntw")
    assert log.look() == LogNews(["one"], anew=True)
    path.write_bytes(b"one\ntwo\n\xff\n")
    assert log.look() == LogNews(["two", "\ufffd"])
    path.write_bytes(b"x\n")
    assert log.look() == LogNews(["x"], anew=True)


def test_of_a_long_log_the_end_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.runs.log.FIRST_BYTES", 10)
    path = tmp_path / "log.txt"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(9)))
    assert RunLog(path).look() == LogNews(["line 8"], anew=True, skipped=53)
