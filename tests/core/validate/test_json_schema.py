from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.json_schema import make
from core.validate.scorecard import INVALID_CAP
from core.validate.validator import Validation

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "additionalProperties": False,
}
GOOD = '{"name": "Ann", "age": 3}'
COMPILED = make({"schema": SCHEMA})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def verdict(text: str, expected: Mapping[str, object] | None = None, **options: Any) -> Validation:
    return make(options or {"schema": SCHEMA}).validate(text, expected=expected)


def kinds(result: Validation) -> list[str]:
    return [finding.kind for finding in result.findings]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Here:\n```json\n{GOOD}\n```\nDone",
        f"```\n{GOOD}\n```",
        f"The answer [1] is {GOOD}, I think {{sic}}.",
        f"<think>{{}}</think>\n{GOOD}",
    ],
)
def test_json_that_satisfies_the_schema_is_perfect_wherever_it_stands(text: str) -> None:
    assert make({}).name == "json_schema"
    assert verdict(text) == Validation(100.0, True, ())


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ('{"name": "Ann"}', "schema_required", "$: 'age'"),
        ('{"name": "Ann", "age": -1}', "schema_minimum", "$.age: "),
        ('{"name": "Ann", "age": 1, "x": 1}', "schema_additional_properties", "'x'"),
        ('{"name": "Ann", "age": 1, "tags": ["a", 2]}', "schema_type", "$.tags[1]: "),
        ('{"name": "Ann", "age": 1, "tags": ["a", "a"]}', "schema_unique_items", "$.tags: "),
        ("[1]", "schema_type", "$: "),
    ],
)
def test_a_broken_requirement_names_its_path_and_is_no_success(text: str, kind: str, said: str) -> None:
    result = verdict(text)
    assert result.valid
    assert kinds(result) == [kind]
    assert said in result.findings[0].message
    assert 0 < result.score < 70


def test_the_score_falls_with_every_requirement_that_is_broken() -> None:
    texts = (GOOD, '{"name": "Ann", "age": -1}', '{"name": 1, "age": -1}', '{"name": 1, "age": -1, "x": 2}', '"x"')
    scores = [verdict(text).score for text in texts]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


def test_items_count_by_the_share_of_them_that_is_right() -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    scores = [verdict(text, schema=schema).score for text in ("[1,2,3,4]", '[1,2,3,"4"]', '[1,"2","3","4"]')]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_requirements_behind_references_count() -> None:
    schema = {"$ref": "#/$defs/user", "$defs": {"user": SCHEMA}}
    assert verdict('{"name": "Ann"}', schema=schema).score == verdict('{"name": "Ann"}').score


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("", "empty", None),
        ("Sorry, no.", "json", 1),
        ('{"a": 1,}', "json", 1),
        ('```json\n{\n  "a": 1,\n  // no\n}\n```', "json", 4),
        ('{"a": NaN}', "not_a_number", 1),
        ("-Infinity", "not_a_number", 1),
        ("```json\n{} {}\n```", "json", 2),
        ('{"outer": {"name": "Ann", "age": 3},}', "json", 1),
        ("9" * 10_000, "json", 1),
        ("a\0b", "json", 1),
        ("[" * 100_000, "json", 1),
        ('{"a":' * 100_000, "json", 1),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_json_is_not_valid(text: str, kind: str, line: int | None) -> None:
    result = verdict(text)
    assert not result.valid
    assert result.score <= INVALID_CAP
    assert [(found.kind, found.line) for found in result.findings] == [(kind, line)]


def test_a_key_that_stands_twice_costs_points() -> None:
    result = verdict('{"name": "Ann", "age": 1, "age": 2}')
    assert result.valid
    assert kinds(result) == ["duplicate_key"]
    assert 90 < result.score < 100


def test_the_right_value_is_compared_part_by_part() -> None:
    assert verdict(GOOD, {"value": {"age": 3.0, "name": "Ann"}}).score == 100
    half = verdict(GOOD, {"value": {"age": 4, "name": "Ann"}})
    assert kinds(half) == ["wrong_value"]
    none = verdict(GOOD, {"value": {"age": 4, "name": "Bob"}})
    assert none.score < half.score < 100
    assert kinds(verdict("true", {"value": 1}, schema={})) == ["wrong_value"]
    assert verdict("[1, 2]", {"value": [1, 2, 3]}, schema={}).score < 100


def test_keys_that_were_asked_for() -> None:
    result = verdict(GOOD, {"keys": ["name", "phone"]})
    assert kinds(result) == ["missing_key"]
    assert result.score == pytest.approx(100 * (80 + 10) / 100)


def test_without_a_schema_any_strict_json_is_right() -> None:
    assert make({}).validate("[1, null]") == Validation(100.0, True, ())
    assert not make({}).validate("[1,]").valid


def test_schema_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps(SCHEMA))
    assert make({"schema_file": str(file)}).validate('{"name": 1, "age": 1}') == verdict('{"name": 1, "age": 1}')
    file.write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        make({"schema_file": str(file)})
    with pytest.raises(ValueError, match="cannot be read"):
        make({"schema_file": str(tmp_path / "none.json")})


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (3, "must be a JSON Schema"),
        ({"type": "text"}, r"\$\.type"),
        ({"properties": {"a": {"pattern": "("}}}, r"\$\.properties\.a\.pattern"),
        ({"$schema": "http://example.test/draft"}, "unknown draft"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/s.json"}}}, "not fetched"),
        ({"items": {"$ref": "file:///etc/hostname"}}, "not fetched"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#"}, "without end"),
    ],
)
def test_a_wrong_schema_is_refused_at_once(schema: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make({"schema": schema})


def test_drafts_and_formats() -> None:
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    assert kinds(verdict("1", schema=draft4)) == ["schema_minimum"]
    assert verdict("1", schema={"$ref": "https://json-schema.org/draft/2020-12/schema"}).score < 70
    dated = {"schema": {"format": "date"}}
    assert verdict('"soon"', **dated).score == 100
    assert kinds(verdict('"soon"', **dated, formats=True)) == ["schema_format"]


def test_wrong_options() -> None:
    with pytest.raises(TypeError, match="shema"):
        make({"shema": {}})
    for wrong in ({"schema": {}, "schema_file": "x"}, {"schema_file": 3}, {"formats": 1}, {"weights": {"x": 1}}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(wrong)


def test_hostile_json() -> None:
    many = verdict(json.dumps({"name": "a", "age": 1, "tags": ["a", 1, None, []] * 50_000}))
    assert many.valid
    assert many.findings[-1].kind == "more"
    tree = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}
    assert kinds(verdict("[" * 800 + "]" * 800, schema=tree)) == ["nesting"]
    assert kinds(verdict(" " * 3_000_000)) == ["too_long"]
    for text in ("[ " * 400_000, "x[ " * 300_000, '"' * 900_000, '{"a' * 300_000):
        assert not verdict(text).valid


@settings(max_examples=60)
@given(st.text(max_size=120) | st.text(st.sampled_from('{}[]":,1aNn \n`\\u'), max_size=80))
def test_any_text_gets_a_score(text: str) -> None:
    for response in (text, f"```json\n{text}\n```", f"{GOOD}{text}"):
        result = COMPILED.validate(response, expected={"value": {"name": "Ann"}, "keys": ["a"]})
        assert 0 <= result.score <= 100
        assert result.valid or result.score <= INVALID_CAP
        assert result.findings or result.score == 100


@settings(max_examples=100)
@given(JSON, JSON)
def test_a_value_is_right_exactly_when_it_is_the_expected_one(value: object, other: object) -> None:
    validator = make({})
    assert validator.validate(json.dumps(value), expected={"value": value}).score == 100
    known = validator.validate(json.dumps(value), expected={"value": other})
    same = json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert known.score == 100 or not same
