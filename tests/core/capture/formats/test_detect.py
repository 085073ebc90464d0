"""Each format is known by its rows alone, and what is none is named with the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.capture.formats.detect import FORMATS, detect, format_named
from core.capture.formats.sources import open_sources
from core.errors import FinetuneError

FIXTURES = Path(__file__).parent / "fixtures" / "training"
FILES = sorted(path for path in FIXTURES.iterdir() if path.is_file())


def detected(path: Path) -> str:
    (source,) = open_sources(path)
    return detect(source).format.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fixture_is_in_the_format_of_its_name(path: Path) -> None:
    expected = {"trl_implicit": "trl_preference"}.get(path.stem, path.stem)
    assert detected(path) == expected


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"messages": [{"role": "user", "content": "Q"}]}, "openai_chat"),
        ({"conversations": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, "sharegpt"),
        ({"prompt": "Q", "chosen": [{"role": "assistant", "content": "A"}], "rejected": []}, "trl_preference"),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "trl_preference"),
        ({"system": "", "instruction": "Q", "chosen_response": "A", "rejected_response": "B"}, "response_preference"),
        ({"instruction": "Q", "completion": "A"}, "kto"),
        ({"prompt": "Q", "completion": "A"}, "prompt_completion"),
        ({"prompt": "Q", "response": "A"}, "question_answer"),
        ({"prompt": "Q", "response": "A", "category": "erd", "model": "m"}, "records"),
        ({"text": "Once upon a time"}, "raw_text"),
        ({"input_data": "Q", "ai_output": "A"}, "artifact_loop"),
    ],
)
def test_rows_of_one_format(tmp_path: Path, row: dict[str, Any], name: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(row)] * 3))
    assert detected(path) == name


def test_alternatives_are_the_less_sure_ones() -> None:
    (source,) = open_sources(FIXTURES / "h2o.csv")
    found = detect(source)
    assert (found.format.name, found.confidence) == ("h2o", 0.9)
    assert [each.name for each, _ in found.alternatives] == ["alpaca", "question_answer"]


def test_broken_rows_in_front_do_not_hide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("nonsense\n" * 100 + '{"instruction":"Q","output":"A"}\n' * 2)
    assert detected(path) == "alpaca"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"colour":"red","size":3}', "`colour`, `size`"),
        ("[1,2]\n[3]", "no objects"),
        ("nonsense", "row 1"),
        ("", "no rows"),
    ],
)
def test_unknown_rows_are_named_with_the_way_out(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    (source,) = open_sources(path)
    with pytest.raises(FinetuneError, match=message) as refused:
        detect(source)
    assert refused.value.hint


def test_formats_are_found_by_name() -> None:
    names = [each.name for each in FORMATS]
    assert len(names) == len(set(names))
    assert all(format_named(name).name == name for name in names)
    assert all(each.title and each.mapping for each in FORMATS)
    with pytest.raises(FinetuneError, match="`sharegtp`") as refused:
        format_named("sharegtp")
    assert "sharegpt" in refused.value.hint
