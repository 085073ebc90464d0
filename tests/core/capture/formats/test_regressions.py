"""Faults that mutated files brought to light, each with the smallest file that showed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accounts_kit import FIXTURES, write_database

from core.capture.formats.detect import detect
from core.capture.formats.sources import open_sources
from core.errors import FinetuneError


def read(path: Path) -> list[Any]:
    (source,) = open_sources(path)
    return ["ERROR" if row.error else row.value for row in source.rows()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"a":1},"\xe9",{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        (b'[{"a":1},"\xed\xa0\x80 [{",{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        (b'[{"a":1},' + b"9" * 5_000 + b',{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        (b'[{"a":1}x,{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        (b'[{"a":1},x{"a":2}]', [{"a": 1}, "ERROR", {"a": 2}]),
        (b'[{"a":1},tru,{"a":2},nul]', [{"a": 1}, "ERROR", {"a": 2}, "ERROR"]),
        (b'[{"a":1},"cut', [{"a": 1}, "ERROR"]),
        (b'[{"a":1},-', [{"a": 1}, "ERROR"]),
    ],
)
def test_a_broken_word_in_a_list_does_not_hide_the_rows_after_it(
    tmp_path: Path, content: bytes, expected: list[Any]
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    assert read(path) == expected


def test_a_broken_word_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"a":1},' + b"x" * 3_000_000 + b',{"a":2}]')
    assert read(path) == [{"a": 1}, "ERROR", {"a": 2}]


@pytest.mark.parametrize("row", ["[7]", '"text"', '{"text":"x","a":1,"b":2,"c":3}', "null"])
def test_one_odd_row_does_not_hide_that_the_others_are_text(tmp_path: Path, row: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text((FIXTURES / "training" / "raw_text.jsonl").read_text() + row)
    (source,) = open_sources(path)
    assert detect(source).format.name == "raw_text"


def test_the_ranges_of_scores_are_known_for_what_they_are() -> None:
    (source,) = open_sources(FIXTURES / "exports" / "langfuse_score_configs.json")
    form = detect(source).format
    assert form.name == "langfuse"
    ((_, refused),) = form.lessons(source)
    assert "score config" in str(refused)


def damaged_database(path: Path, told: bytes) -> Path:
    """A log whose file holds a byte that is no text wherever `told` stood."""
    write_database(path)
    path.write_bytes(path.read_bytes().replace(told, told[:3] + b"\xff" + told[4:]))
    return path


def test_a_database_whose_schema_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    path = damaged_database(tmp_path / "logs.db", b"CREATE TABLE")
    with pytest.raises(FinetuneError, match=r"logs\.db .* its schema is damaged") as raised:
        open_sources(path)
    assert raised.value.hint


def test_a_table_whose_name_is_no_text_is_one_error(tmp_path: Path) -> None:
    sources = list(open_sources(damaged_database(tmp_path / "logs.db", b"responses")))
    assert [source.name for source in sources] == ["logs.db#conversations", "logs.db#res\ufffdonses"]
    (row,) = sources[1].rows()
    assert "damaged" in row.error
