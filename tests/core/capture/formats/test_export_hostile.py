"""Whatever stands in a field of an export, each row is answered and what is made of it keeps its promises."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from exports_kit import ListSource, checked, every_source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.capture.formats.parts import Lessons, RowError

_NUMBERS = [10**400, -(10**30), float("nan"), float("inf"), 1e308, 1e20, 1717000000000]
_WORDS = ["\ud800", "a\x00b", "{}", "[1]", '{"a":', "user", "assistant", "thumbs_up", "good", "u1", "a1", "root"]
_DATES = ["9999-12-31T23:59:59", "0001-01-01T00:00:00"]
_ODD = st.sampled_from([*_NUMBERS, *_WORDS, *_DATES, b"x"])
_PLAIN = st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=4) | _ODD
_JSON = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "id", "text", "rating", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field of a value."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*path, index))


def changed(draw: st.DrawFn, value: Any) -> Any:
    """`value` with up to four fields replaced, removed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 4))):
        ways = list(places(value))
        if not ways:
            return draw(_JSON)
        path = draw(st.sampled_from(ways))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "copy"]))
        if kind == "remove":
            del holder[path[-1]]
        elif kind == "replace":
            holder[path[-1]] = draw(_JSON)
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[draw(st.sampled_from(["id", "x", *holder]))] = copy.deepcopy(holder[path[-1]])
    return value


@pytest.mark.parametrize("name", sorted(every_source()))
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_field_may_hold_anything(name: str, data: st.DataObject) -> None:
    form, wanted = every_source()[name]
    draw: Any = data.draw
    position = draw(st.integers(0, len(wanted.values) - 1))
    values = [changed(draw, wanted.values[position]), wanted.values[position]]
    beside = dict(wanted.beside)
    if beside and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(beside)))
        beside[key] = ListSource(key, [changed(draw, beside[key].values[0]), *beside[key].values])
    odd = dataclasses.replace(wanted, values=values, beside=beside)
    assert 0 <= form.matches(odd, values) <= 1
    checked(form, odd)


@pytest.mark.parametrize("name", sorted(every_source()))
def test_no_fields_at_all_and_rows_that_are_no_objects(name: str) -> None:
    form, wanted = every_source()[name]
    odd = dataclasses.replace(wanted, values=[{}, [], None, 3, "text", [[]], {"": None}])
    assert form.matches(odd, odd.values) in (0, 0.95)
    for found in checked(form, odd):
        assert isinstance(found, RowError) or not found.answers


@pytest.mark.parametrize("name", sorted(every_source()))
def test_endless_nesting_is_refused_and_the_next_row_is_read(name: str) -> None:
    form, wanted = every_source()[name]
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    broken = dict.fromkeys(wanted.values[0], deep)
    found = list(form.lessons(dataclasses.replace(wanted, values=[broken, wanted.values[0]])))
    alone = next(form.lessons(dataclasses.replace(wanted, values=[wanted.values[0]])))[1]
    assert len(found) == 2 and type(found[1][1]) is type(alone)


def conversation(turns: int, regenerated: int = 1) -> dict[str, Any]:
    """An Open WebUI chat of many turns, each answered several times."""
    messages: dict[str, Any] = {}
    before = None
    for turn in range(turns):
        messages[f"u{turn}"] = {"role": "user", "content": f"question {turn}", "parentId": before}
        for copy_number in range(regenerated):
            answer = {"role": "assistant", "content": f"answer {turn}.{copy_number}", "parentId": f"u{turn}"}
            messages[f"a{turn}.{copy_number}"] = answer
        before = f"a{turn}.0"
    return {"chat": {"history": {"messages": messages, "currentId": before}}}


def test_an_answer_regenerated_without_end_is_capped_and_said() -> None:
    form, wanted = every_source()["open_webui_chats"]
    chat = conversation(1, 500)
    chat["chat"]["history"]["messages"]["a0.0"]["annotation"] = {"rating": 1}
    (found,) = checked(form, dataclasses.replace(wanted, values=[chat]))
    assert isinstance(found, Lessons) and len(found.answers) == 32 and len(found.preferences) == 31
    assert found.problems == ("More than 32 alternatives to one answer; the rest left out.",)


def test_a_long_conversation_gives_each_answer_all_that_was_said_before() -> None:
    form, wanted = every_source()["open_webui_chats"]
    (found,) = checked_lightly(form, dataclasses.replace(wanted, values=[conversation(400)]))
    assert isinstance(found, Lessons) and len(found.answers) == 400
    assert len(found.answers[-1].history) == 798


def checked_lightly(form: Any, wanted: ListSource) -> list[Lessons | RowError]:
    return [found for _, found in form.lessons(wanted)]


def test_a_tree_without_end_downwards_is_walked_without_recursion() -> None:
    form, wanted = every_source()["chatgpt"]
    mapping: dict[str, Any] = {"n0": {"message": {"author": {"role": "user"}, "content": {"parts": ["hi"]}}}}
    for place in range(1, 3_000):
        message = {"author": {"role": "assistant"}, "content": {"parts": [f"{place}"]}, "recipient": "all"}
        mapping[f"n{place}"] = {"parent": f"n{place - 1}", "message": message}
    row = {"title": "t", "mapping": mapping, "current_node": "n2999"}
    (found,) = checked_lightly(form, dataclasses.replace(wanted, values=[row]))
    assert isinstance(found, Lessons) and len(found.answers) == 1
