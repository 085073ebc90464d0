"""A run looked at before it is queued: what it shows, what it measures, and what it refuses. Nothing stays behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from selection_kit import add_event, prompts
from training_kit import items, pairs, thumbs

from core.errors import RunError
from core.loop import LearningLoop
from core.paths import Home
from core.train import check as child
from core.train.config import TrainSettings
from core.train.data import Encoder
from core.train.masked import masked, masked_rows
from core.train.own_process import RESULT, TASK
from storage.rows import DatasetItem
from tui.cli.check import as_object, show_check


def task(base: Path, made: list[DatasetItem], **settings: Any) -> dict[str, Any]:
    return {
        "base": str(base),
        "settings": TrainSettings(**settings).to_mapping(),
        "start": "",
        "items": [asdict(item) for item in made],
    }


class TestMaskedRows:
    def test_the_prompt_is_read_and_the_answer_with_its_end_is_learned(self, tokenizer: Any) -> None:
        lessons = Encoder(tokenizer, 512).encode_items(items(3)).lessons
        rows = masked(tokenizer, lessons)
        assert len(rows) == 2
        for row, item, lesson in zip(rows, items(3), lessons, strict=False):
            assert item.prompt in row.prompt and item.target not in row.prompt
            assert row.answer == f"{item.target}<|end|>"
            assert row.prompt.endswith("<|turn|>assistant\n")
            assert (row.prompt_tokens, row.answer_tokens) == (lesson.examples[0].answer_start, row.answer_tokens)
            assert row.prompt_tokens + row.answer_tokens == len(lesson.examples[0].ids)

    def test_pairs_show_both_answers_and_thumbs_their_own(self, tokenizer: Any) -> None:
        encoder = Encoder(tokenizer, 512)
        both = masked(tokenizer, encoder.encode_items(pairs(2), "dpo").lessons, 1, method="dpo")
        assert [row.kind for row in both] == ["chosen", "rejected"]
        assert both[0].prompt == both[1].prompt and both[0].answer != both[1].answer
        made = thumbs(4)
        single = masked(tokenizer, encoder.encode_items(made, "kto").lessons, 4, method="kto")
        assert [row.answer for row in single] == [f"{item.target}<|end|>" for item in made]

    def test_rows_of_a_log_are_short_and_of_one_line_each_side(self, tokenizer: Any) -> None:
        lessons = Encoder(tokenizer, 8_000).encode_items([*items(1), *items(1)]).lessons
        first, second = masked_rows(tokenizer, lessons)
        assert first == second
        assert len(first.splitlines()) == 3 and "\\n" in first
        long = items(1)[0]
        wide = Encoder(tokenizer, 100_000).encode_items([DatasetItem(**{**asdict(long), "target": "word " * 2_000})])
        assert "more characters" in masked_rows(tokenizer, wide.lessons)[0]
        assert len(masked_rows(tokenizer, wide.lessons)[0]) < 4_000


class TestChild:
    @pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
    def test_one_step_of_the_longest_examples_that_fill_a_pass(self, base: Path, method: str) -> None:
        made = {"sft": items, "dpo": pairs, "kto": thumbs}[method](6)
        found = child.check(task(base, made, method=method, max_length=128, batch_size=2))
        assert found["loss"] > 0 and found["gradient_norm"] > 0
        assert found["examples"] == 6 and found["left_out"] == {}
        assert found["step_tokens"] <= 2 * 128 or found["step_examples"] == 1
        assert found["step_examples"] >= 1 and found["longest"] <= 128
        assert found["peak_bytes"] > 0 and found["planned_bytes"] > 0
        assert len(found["rows"]) == (4 if method == "dpo" else 2)
        json.dumps(found)

    def test_what_cannot_be_learned_is_an_error_for_people(self, base: Path, tmp_path: Path) -> None:
        (tmp_path / TASK).write_text(json.dumps(task(base, items(3), max_length=16)))
        assert child.main([str(tmp_path)]) == 0
        error = json.loads((tmp_path / RESULT).read_text())["error"]
        assert "None of the 3 training examples" in error["message"] and "length" in error["hint"]

    def test_an_unforeseen_fault_is_told_too(self, tmp_path: Path) -> None:
        (tmp_path / TASK).write_text(json.dumps({"settings": {}}))
        assert child.main([str(tmp_path)]) == 0
        assert "KeyError" in json.loads((tmp_path / RESULT).read_text())["error"]["message"]


@pytest.fixture
def loop(home: Home) -> Iterator[LearningLoop]:
    (home.root / "config.toml").write_text('[select]\nembeddings = "none"\n')
    with LearningLoop(home) as made:
        for text in prompts(30):
            add_event(made.store, text, score=99.0)
        yield made


class TestCheckRun:
    def test_it_tells_all_and_leaves_nothing(self, loop: LearningLoop, capsys: pytest.CaptureFixture[str]) -> None:
        before = sorted(path.name for path in loop.home.root.rglob("*"))
        found = loop.check_run("erd", base="demo", settings={"batch_size": 2, "max_length": 256})
        assert loop.runs() == []
        assert [name for name in sorted(path.name for path in loop.home.root.rglob("*")) if name not in before] == []
        assert found.learned == found.counts["train"] > 0
        assert found.step.loss > 0 and found.step.gradient_norm > 0 and found.step.peak > 100e6
        assert found.preflight.memory.verdict == "fits" and found.settings["batch_size"] == 2
        show_check(found, as_json=False)
        shown = capsys.readouterr().out
        for told in ("nothing was queued", "memory", "disk", "gradient norm", "tokens learned", "⟦"):
            assert told in shown
        assert json.loads(json.dumps(as_object(found), default=str))["preflight"]["memory"]["total"] > 0

    def test_what_could_not_start_is_refused_before_anything_is_loaded(
        self, loop: LearningLoop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "core.train.own_process.subprocess.Popen", lambda *_, **__: pytest.fail("a process was started")
        )
        with pytest.raises(RunError, match="Memory: does not fit"):
            loop.check_run("erd", base="demo", settings={"batch_size": 4096, "max_length": 100_000})
        with pytest.raises(RunError):
            loop.check_run("erd", base="demo", settings={"method": "dpo"})

    def test_a_process_that_dies_is_reported(self, loop: LearningLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("core.train.own_process.sys.executable", "false")
        with pytest.raises(RunError, match="ended with status 1") as caught:
            loop.check_run("erd", base="demo")
        assert caught.value.hint

    def test_the_command_line_has_the_flag(self) -> None:
        from tui.cli.runs import train

        assert "--check" in CliRunner().invoke(train, ["--help"]).output
