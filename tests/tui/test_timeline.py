"""What served when: in order, with its evidence in words, and inert whatever stands in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versions_kit import add_version

from core.config import Config
from core.paths import Home
from core.release.promote import promote, rollback, undo
from storage.db import Store
from storage.rows import AliasChange, AliasRow
from tui.text import plain
from tui.versions.served import read_served, served_line
from tui.versions.views import ModelsView, read_models
from tui.widgets.timeline import evidence_lines, timeline

NOW = 1_700_000_000.0
CHANGE = AliasChange(1, "ft-erd", NOW - 90, "promote", None, 7, "ada", "it wins", {}, None)


def view_of(*changes: AliasChange, name: str = "ft-erd") -> ModelsView:
    return ModelsView([], [AliasRow(name, "erd", 7, NOW)], {name: changes}, {}, {}, {}, [], 0)


def test_each_change_says_what_who_when_and_why() -> None:
    told = timeline(view_of(CHANGE), now=NOW).plain.splitlines()
    assert told[0] == "ft-erd  now ★ version 7"
    assert told[2] == "▲ promoted the base model → version 7"
    assert "1 min ago, by ada" in told[3] and told[4] == "  because: it wins"


def test_what_was_taken_back_is_marked_and_only_that() -> None:
    back = replace(CHANGE, id=2, action="undo", from_version=7, to_version=6, undoes=1)
    told = timeline(view_of(back, CHANGE), now=NOW).plain
    assert "↶ undone version 7 → version 6\n" in told
    assert "▲ promoted the base model → version 7 (taken back since)" in told


def test_only_the_newest_are_shown_and_the_rest_counted() -> None:
    changes = [replace(CHANGE, id=number, why=f"reason {number}") for number in range(30, 0, -1)]
    told = timeline(view_of(*changes), now=NOW, most=3).plain
    assert [number for number in range(31) if f"because: reason {number}\n" in told] == [28, 29, 30]
    assert told.endswith("… and 27 older changes; a report has all")
    assert "older" not in timeline(view_of(*changes), now=NOW, most=30).plain


def test_one_category_alone() -> None:
    two = ModelsView([], [AliasRow("ft-a", "a", 1, NOW), AliasRow("ft-b", "b", 2, NOW)], {}, {}, {}, {}, [], 0)
    assert "ft-b" not in timeline(two, now=NOW, category="a").plain
    assert timeline(two, now=NOW, category="c").plain == ""


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({}, []),
        ({"summary": "v1 against v0"}, ["v1 against v0"]),
        ({"evidence": 25.0}, ["odds that it is better, against chance: 25 : 1"]),
        ({"evidence": "lots", "old": 3, "new": {}}, []),
        (
            {"old": {"success": 0.9, "n": 1_000}, "new": {"success": 0.5, "n": 40}},
            ["before: 90 % of 1,000 answers succeeded", "after: 50 % of 40 answers succeeded"],
        ),
        ({"forced": True}, ["although the A/B test did not say so"]),
    ],
)
def test_evidence_in_words(evidence: dict[str, Any], told: list[str]) -> None:
    assert evidence_lines(evidence) == told


FOREIGN = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["\x1b]52;c;x\x07", "[/]", "list[int] and [/path] [type=x, v={'a[0]'}]", "\u202egnol\u200b", "a\nb\tc"]
)


@given(who=FOREIGN, why=FOREIGN, alias=FOREIGN, summary=FOREIGN, action=st.sampled_from(["promote", "rollback", "x"]))
def test_whatever_people_and_programs_wrote_stays_inert(
    who: str, why: str, alias: str, summary: str, action: Any
) -> None:
    change = replace(CHANGE, who=who, why=why, action=action, evidence={"summary": summary})
    told = timeline(view_of(change, name=alias), now=NOW)
    assert told.plain == plain(told.plain, limit=None, line_limit=None)  # nothing is left to make harmless
    heads = [line for line in told.plain.splitlines() if line.startswith(("▲", "▼", "·"))]
    assert len(heads) == 1 and "[" not in heads[0]


def test_what_the_keys_would_do_follows_every_change(store: Store, home: Home) -> None:
    config = Config()
    base, one, two = (add_version(store, home, number) for number in range(3))
    assert read_served(store) == {}
    for version in (one, two):
        promote(store, home, config, version.id, who="ada", why="", evidence={}, now=NOW)
    served = read_served(store)["erd"]
    assert (served.serves.id, served.before and served.before.id, served.back and served.back.id) == (
        two.id, one.id, one.id,
    )  # fmt: skip
    assert served.undo_told(NOW + 60) == (
        f"Take back the promotion of {two.name} (1 min ago): ft-erd answers with {one.name} again"
    )
    assert served_line(served, NOW, 200).plain == (
        f"ft-erd answers with ★ {two.name} · r puts back {one.name} · u takes back the promotion of {two.name} "
        "(just now)"
    )
    assert served_line(served, NOW, 70).plain == (
        "ft-erd ★ v2 · r puts back v1 · u takes back the promotion of v2 (just…"
    )
    rollback(store, home, config, "erd", who="ada", why="", now=NOW)
    served = read_served(store)["erd"]
    assert served.undo_told(NOW).startswith(f"Take back the roll-back to {one.name} (just now)")
    assert served.roll_back_told() == f"ft-erd answers with {base.name} again, no longer with {one.name}"
    for _ in range(3):
        assert undo(store, home, config, "erd", who="ada", now=NOW) is not None
    served = read_served(store)["erd"]
    assert served.serves.id == base.id and not served.can_undo and served.before is None
    assert served.undo_told(NOW) == "Nothing of ft-erd is left to take back"
    assert served.roll_back_told() == f"Nothing served ft-erd before {base.name}"
    assert served_line(served, NOW, 60).plain == f"ft-erd answers with ★ {base.name}"
    assert "↶ undone" in timeline(read_models(home), now=NOW).plain
