from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from storage.rows import Metric, RunRow, VersionRow
from tui.figures import FIGURES, brief, grouped, listed
from tui.runs.feed import NewsSorter, seconds_left
from tui.runs.plan import DataOutlook
from tui.widgets.figure_grid import figure_grid
from tui.widgets.interval_bar import scale_lines
from tui.widgets.lineage import lineage
from tui.widgets.outlook import data_text
from tui.widgets.progress_line import run_line
from tui.widgets.proof_list import proof_content
from tui.widgets.run_fields import parse_fields, told
from tui.widgets.run_lines import fault_text, progress_text, stage_line
from tui.widgets.verdict import figures, verdict_line

RUN = RunRow(
    id=1, created_at=0.0, category="erd", base_model="demo", method="sft", status="running", stage="training",
    settings={}, dataset_id=1, parent_version=None, folder="runs/1", pid=1, pid_started=1.0, heartbeat=1.0, error="",
    stop_requested=False, started_at=0.0, finished_at=None, step=10, total_steps=100, hint="", version_id=None,
)  # fmt: skip


def version(number: int, parent: int | None, *, category: str = "erd") -> VersionRow:
    return VersionRow(
        id=number + 1, created_at=0.0, name=f"v{number}", category=category, base_model="demo", number=number,
        run_id=None, parent_id=parent, dataset_id=None, folder="x", gguf={}, settings={}, metrics={}, proof=[],
        proved=True, code_version="",
    )  # fmt: skip


def shape(versions: list[VersionRow]) -> list[str]:
    return [f"{row.branch}{row.version.name if row.version else row.heading}" for row in lineage(versions)]


def test_only_children_stand_below_and_several_branch_off() -> None:
    rows = shape([version(0, None), version(1, 1), version(2, 2), version(3, 2), version(4, 3)])
    assert rows == ["erd · demo", "v0", "v1", "├─v2", "│ v4", "└─v3"]


def test_no_version_is_lost_to_a_missing_parent_or_a_cycle() -> None:
    assert shape([version(0, 99), version(1, 3), version(2, 2)])[1:] == ["v0", "v1", "v2"]
    assert shape([version(0, 1)]) == ["erd · demo", "v0"]


def test_a_long_lineage_needs_no_recursion() -> None:
    assert len(lineage([version(0, None), *(version(one, one) for one in range(1, 3_000))])) == 3_001


def test_categories_stand_apart() -> None:
    assert shape([version(0, None), version(1, None, category="api")]) == ["api · demo", "v1", "erd · demo", "v0"]


def test_an_interval_between_its_marks() -> None:
    marks = ((0.5, "50 %"), (0.65, "65 %"))
    bar, labels = scale_lines(0.4, 0.7, 0.55, width=41, span=(0.0, 1.0), marks=marks)
    assert bar == "────────────────├━━━╋━●━━━╋━┤────────────"
    assert labels == "                  50 %  65 %             "


def test_an_interval_beyond_the_scale_and_an_estimate_on_a_mark() -> None:
    bar, _ = scale_lines(-2.0, 3.0, 0.5, width=21, span=(0.0, 1.0), marks=((0.5, "even"),))
    assert bar[0] == "◂" and bar[-1] == "▸" and bar[10] == "◉"


def test_labels_that_would_touch_are_left_out() -> None:
    _, labels = scale_lines(0.4, 0.7, 0.5, width=16, span=(0.0, 1.0), marks=((0.5, "50 %"), (0.65, "65 %")))
    assert labels.split() == ["50", "%"]


def test_stages_show_the_way_and_the_place() -> None:
    assert stage_line(RUN).plain.startswith("● running  ● training → evaluating")
    failed = replace(RUN, status="failed", stage="proving")
    assert "✓ exporting → ✗ proving → testing" in stage_line(failed).plain
    assert "✓ done" in stage_line(replace(RUN, status="finished", stage="done")).plain


def test_a_fault_says_what_and_what_next_as_plain_text() -> None:
    fault = fault_text(replace(RUN, status="failed", error="Loss is [/x] \x1b[31m nan.", hint="Lower the rate."))
    assert fault.plain == "Loss is [/x] ␛[31m nan.\nLower the rate."
    assert "R goes on where it was" in fault_text(replace(RUN, status="stopped", attempts=1)).plain
    assert "taken out of the queue" in fault_text(replace(RUN, status="stopped")).plain
    assert not fault_text(RUN).plain


def test_news_sort_figures_into_curves() -> None:
    stored = [Metric(1, "loss", 2.0, 10.0), Metric(2, "loss", 1.0, 11.0), Metric(2, "memory_mb", 512.0, 11.0)]
    sorter = NewsSorter()
    sorter.sort(stored[:1])
    sorter.sort([*stored[1:], Metric(3, "gradient_norm", 0.5, 12.0)])
    news = sorter.news(RUN, 3, ["a line"])
    drawn = {name: list(zip(one.xs, one.ys, strict=True)) for name, one in news.points.items()}
    assert drawn == {"loss": [(1, 2.0), (2, 1.0)], "memory_mb": [(2, 512.0)]}
    assert news.latest == {"loss": 1.0, "memory_mb": 512.0, "gradient_norm": 0.5}
    assert news.pace == [(10.0, 1), (11.0, 2)]


def test_time_left_is_what_the_run_tells_or_else_its_pace_since_the_last_resume() -> None:
    assert seconds_left(RUN, [(0.0, 10), (20.0, 20)], {"eta_seconds": 42.0}) == 42.0
    assert seconds_left(RUN, [(0.0, 10), (20.0, 20)], {}) == 160.0
    assert seconds_left(RUN, [(0.0, 40), (500.0, 41), (1000.0, 11), (1010.0, 21)], {}) == 79.0
    assert seconds_left(RUN, [(0.0, 10)], {}) is None
    assert seconds_left(replace(RUN, stage="proving"), [(0.0, 10), (20.0, 20)], {"eta_seconds": 42.0}) is None


SFT = {
    "loss": 1.2345, "eval_loss": 1.301, "learning_rate": 2e-4, "gradient_norm": 0.8213, "tokens_per_second": 1234.5,
    "memory_mb": 5054.0, "gpu_percent": 97.0, "temperature": 71.0, "eval_score": 82.14, "eta_seconds": 735.0,
}  # fmt: skip
PREFERENCE = {"reward_margin": 0.4231, "accuracy": 0.78, "reward_chosen": 0.1, "reward_rejected": -0.3231}


def test_figures_stand_in_columns_with_their_units() -> None:
    assert figure_grid(grouped(SFT), 51).plain.splitlines() == [
        "loss       1.234  rate  2e-4        mem  5.3 GB",
        "eval loss  1.301  grad  0.821       GPU  97 %",
        "eval score 82.1   speed 1.2k tok/s  temp 71 °C",
    ]


def test_four_groups_flow_into_three_columns_where_they_do_not_fit() -> None:
    wide = figure_grid(grouped(SFT | PREFERENCE), 100).plain.splitlines()
    assert len(wide) == 3
    assert wide[0].split() == ["loss", "1.234", "margin", "0.42", "rate", "2e-4", "mem", "5.3", "GB"]
    narrow = figure_grid(grouped(SFT | PREFERENCE), 51).plain.splitlines()
    assert len(narrow) == 4
    assert max(map(len, narrow)) <= 51


@given(st.dictionaries(st.sampled_from(sorted(FIGURES)), st.floats(allow_nan=True)), st.integers(1, 140))
def test_every_figure_is_shown_once_at_every_width(latest: dict[str, float], width: int) -> None:
    cells = [cell for group in grouped(latest) for cell in group]
    words = figure_grid(grouped(latest), width).plain.split()
    assert sorted(words) == sorted(" ".join(map(" ".join, cells)).split())


def test_how_hot_it_was_is_not_said_of_a_run_that_has_ended() -> None:
    labels = [label for group in grouped(SFT, at_work=False) for label, _ in group]
    assert "mem" in labels and "GPU" not in labels and "temp" not in labels


def test_one_line_has_the_most_telling_first() -> None:
    assert brief(SFT | PREFERENCE) == [
        "loss 1.234", "1.2k tok/s", "71 °C", "eval loss 1.301", "eval score 82.1", "accuracy 78 %", "GPU 97 %",
        "5.3 GB",
    ]  # fmt: skip
    assert brief({}) == []


def test_the_list_of_figures_keeps_those_that_it_does_not_know() -> None:
    told = dict(listed(SFT | PREFERENCE | {"new_figure": 12_345.0}))
    assert told["new figure"] == "12.3k" and told["reward of chosen"] == "0.10" and told["learning rate"] == "2e-4"
    assert len(told) == len(SFT) + len(PREFERENCE)


def test_the_progress_of_a_run_at_work_and_at_its_end() -> None:
    assert progress_text(RUN, 735.0).plain == "█▎░░░░░░░░░░ 10 % · step 10/100 · 12 min left"
    stopping = progress_text(replace(RUN, stop_requested=True), None)
    assert (
        stopping.plain
        == "█▎░░░░░░░░░░ 10 % · step 10/100 · pausing at the next step: it saves, and R goes on from there"
    )
    assert progress_text(replace(RUN, stage="exporting"), None).plain == "step 10/100"


def test_the_line_of_a_run_tells_its_own_estimate() -> None:
    line = run_line(replace(RUN, step=50), now=100.0, latest=SFT).plain
    assert "50/100 · 12 min left · loss 1.234 · 1.2k tok/s · 71 °C" in line
    assert "50/100 · 2 min left" in run_line(replace(RUN, step=50), now=100.0).plain


def test_the_form_reads_numbers_and_names_what_is_none() -> None:
    texts = {"epochs": "3", "learning_rate": "2e-4", "batch_size": "", "accumulation": "8", "rank": "8.5",
             "alpha": "16", "max_length": "512", "seed": "0"}  # fmt: skip
    numbers, faults = parse_fields(texts)
    assert numbers == {"epochs": 3, "learning_rate": 2e-4, "accumulation": 8, "alpha": 16, "max_length": 512, "seed": 0}
    assert faults == {"batch_size": "Batch is empty.", "rank": "LoRA rank: '8.5' is not a whole number."}


def test_failed_checks_come_first_in_words() -> None:
    checks = [
        {"name": "tokens", "passed": True, "figure": 0, "bound": 0, "detail": ""},
        {"name": "greedy", "passed": False, "figure": 0.82, "bound": 0.9, "detail": "differs [/]"},
    ]
    assert proof_content(checks).plain.splitlines() == [
        "✗ fails greedy  0.82 (bound 0.9)  differs [/]",
        "✓ holds tokens  0 (bound 0)",
    ]


def test_the_verdict_in_words_with_how_many_more() -> None:
    line = verdict_line({"verdict": "need more data", "more": 140}, 0).plain
    assert line == "… Need more data before this can be told. About 140 more prompts would do."
    assert verdict_line({"verdict": "promote"}, 0).plain.startswith("✓ Promote")
    assert "11 prompts answered" in verdict_line(None, 11).plain


def test_the_figures_name_interval_and_counts() -> None:
    result = {"n": 120, "wins": 98, "losses": 12, "ties": 10, "win_rate": 0.858, "interval": [0.79, 0.91],
              "difference": 18.2, "difference_interval": [15.0, 21.4], "evidence": 1e9, "latency_ratio": 1.05,
              "length_ratio": 0.8}  # fmt: skip
    lines = figures(result).plain.splitlines()
    assert lines[0] == "win rate 85.8 % (79.0 to 91.0 %) · 98 won, 12 lost, 10 tied of 120"
    assert lines[1] == "score difference +18.2 (+15.0 to +21.4) · evidence over a million : 1"


def test_settings_are_told_in_the_words_of_the_form() -> None:
    shown = told({"batch_size": 2, "rank": 4, "quantize_base": "on", "optimizer": "adamw_8bit", "learning_rate": 1e-5})
    assert shown == "batch 2, rank 4, 4-bit base on, optimizer adamw 8bit, learning rate 1e-5"


def test_what_there_is_to_train_on_by_each_method() -> None:
    few = data_text(DataOutlook("erd: 9 of 9 eligible", {"train": 9, "considered": 9}, ""), "sft").plain
    assert "! 9 examples to train on: few, 20 or more teach reliably" in few
    pairs = {"train": 30, "considered": 31, "eligible": 30, "pairs": {"correction": 20, "ranking": 10}}
    mix = {"preference (correction)": 20, "preference (ranking)": 10}
    shown = data_text(DataOutlook("erd: 30 of 31 pairs eligible", pairs, "", mix), "dpo").plain
    assert "✓ 30 pairs to train on" in shown and "█ preference (correction) 20 (67 %)" in shown
    assert "every correction (c) makes a pair" in data_text(DataOutlook("none", {"train": 0}, "no pair"), "dpo").plain
    learned = {"train": 0, "considered": 40, "eligible": 40}
    shown = data_text(DataOutlook("erd: 40 of 40 eligible", learned, "no example"), "sft", "v1").plain
    assert "v1 has learned all of it already" in shown
