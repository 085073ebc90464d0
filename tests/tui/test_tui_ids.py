"""Long arrays of ids give the same answers as lists would."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from tui.ids import index_of, places_of, without

IDS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300), max_size=60, unique=True)


@given(IDS, st.integers(-(2**70), 2**70))
def test_an_id_is_found_where_it_stands(ids: list[int], other: int) -> None:
    held = array("q", ids)
    assert [index_of(held, one) for one in ids] == list(range(len(ids)))
    assert index_of(held, other) == (ids.index(other) if other in ids else -1)


def test_bytes_that_lie_across_two_ids_are_no_id() -> None:
    one = 0x0102030405060708
    shifted = int.from_bytes((b"\0" * 4 + one.to_bytes(8, "little") + b"\0" * 4)[4:12], "little")
    ids = array("q", [one << 32 & (2**63 - 1), one >> 32, shifted])
    assert index_of(ids, one) == 2
    assert index_of(ids[:2], one) == -1


@given(IDS, st.data())
def test_what_is_unwanted_goes_and_the_rest_keeps_its_order(ids: list[int], data: st.DataObject) -> None:
    held = array("q", ids)
    asked = data.draw(st.sets(st.sampled_from(ids) if ids else st.nothing())) | {-77}
    unwanted = data.draw(st.sets(st.sampled_from(ids) if ids else st.nothing()))
    places = places_of(held, asked)
    assert places == {one: ids.index(one) for one in asked if one in ids}
    assert list(without(held, places, unwanted)) == [one for one in ids if not (one in asked and one in unwanted)]
