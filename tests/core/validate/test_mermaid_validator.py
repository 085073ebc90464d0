from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.mermaid.validator import KINDS, MAX_CHARS, Weights, make
from core.validate.scorecard import INVALID_CAP
from core.validate.validator import Validation, Validator

FLOW = """flowchart TD
    start([Order placed]) --> stock{In stock?}
    stock -->|yes| pack[Pack the goods]
    stock -->|no| wait[Order from supplier]
    wait --> pack
    pack --> done([Delivered])
"""
CLASSES = 'classDiagram\n    Customer "1" --> "0..*" Order : places\n    class Order {\n        +Date due\n    }\n'
SEQUENCE = """sequenceDiagram
    participant User
    participant Server
    User->>Server: log in
    Server-->>User: token
"""
STATES = """stateDiagram-v2
    [*] --> Idle
    Idle --> Busy : job arrives
    Busy --> Idle : job done
    Idle --> [*]
"""
ENTITIES = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        int id PK\n    }\n"
BROKEN = {"flowchart": "(((", "class": "(((", "sequence": "User->>", "state": "Idle -->", "er": "((("}
GOOD = {"flowchart": FLOW, "class": CLASSES, "sequence": SEQUENCE, "state": STATES, "er": ENTITIES}


def verdict(text: str, expected: Mapping[str, object] | None = None, **options: Any) -> Validation:
    return make(options).validate(text, expected=expected)


def found(text: str, expected: Mapping[str, object] | None = None) -> list[str]:
    return [finding.kind for finding in verdict(text, expected).findings]


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_diagram_of_each_kind_is_perfect(kind: str) -> None:
    validator: Validator = make({})
    assert validator.name == "mermaid"
    assert validator.validate(GOOD[kind], prompt="anything") == Validation(100.0, True, ())


@pytest.mark.parametrize("kind", KINDS)
def test_a_fence_with_prose_around_it_changes_nothing_but_the_lines(kind: str) -> None:
    fenced = f"Here it is:\n\n```mermaid\n{GOOD[kind]}```\nDone [really].\n"
    assert verdict(fenced) == Validation(100.0, True, ())
    broken = fenced.replace("```\nDone", f"    {BROKEN[kind]}\n```\nDone")
    assert verdict(broken).findings[0].line == fenced[: fenced.index("```\nDone")].count("\n") + 1


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_are_not_wanted_are_refused(kind: str) -> None:
    others = [other for other in KINDS if other != kind]
    refused = verdict(GOOD[kind], kinds=others)
    assert (refused.valid, refused.score, refused.findings[0].kind) == (False, 0.0, "kind")
    assert verdict(GOOD[kind], kinds=[kind]).valid


@pytest.mark.parametrize(
    "text", ["", "   \n", "no diagram at all", "```python\nprint(1)\n```", "pie\n a : 1", "---\nx: y: z\n---\n" + FLOW]
)
def test_what_holds_no_known_diagram_is_not_valid(text: str) -> None:
    refused = verdict(text)
    assert (refused.valid, refused.score) == (False, 0.0)
    assert refused.findings


def test_what_a_model_thinks_first_is_not_looked_at() -> None:
    assert verdict("<think>\nflowchart TD\n</think>\n" + FLOW).score == 100.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_error_scores_more_but_never_more_than_the_cap(kind: str) -> None:
    head, _, rest = GOOD[kind].partition("\n")
    early, late = verdict(f"{head}\n    {BROKEN[kind]}\n{rest}"), verdict(GOOD[kind] + f"    {BROKEN[kind]}\n")
    assert not early.valid and not late.valid
    assert early.score < late.score <= INVALID_CAP
    assert late.findings[0].kind == "syntax"


def test_elements_asked_for_are_found_by_id_by_label_and_by_words() -> None:
    asked = {"elements": ["stock", "Pack the goods", "supplier", "delivery note"]}
    missing = [finding for finding in verdict(FLOW, asked).findings if finding.kind == "missing_element"]
    assert [("delivery note" in each.message) for each in missing] == [True]
    assert verdict(FLOW, asked).score == pytest.approx(100.0 - 25.0 * 0.25)
    assert "missing_element" in found(ENTITIES, {"entities": ["customers", "orders", "invoice"]})
    assert "missing_element" not in found(ENTITIES, {"entities": ["Customers", "orders"]})


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        (FLOW.replace("|yes|", ""), "label", 3),
        (FLOW.replace("[Pack the goods]", ""), "", None),
        (FLOW.replace("pack[Pack the goods]", "p").replace("pack", "p"), "label", 3),
        (FLOW + "    lonely[Lonely step]\n", "unconnected", 7),
        (FLOW + "    one[Some step] --> two[Other step]\n", "several_parts", None),
        (FLOW + "    wait --> pack\n", "duplicate_link", 7),
        (FLOW + "    wait --> wait\n", "self_loop", 7),
        (FLOW + "    wait -->|still nothing| wait\n", "", None),
        (FLOW + "    pack --> again[Pack the goods]\n", "duplicate_label", 7),
        (FLOW + "    pack --> node1\n", "naming", 7),
        (FLOW + "    done --> start\n", "no_end", None),
        ("flowchart TD\n    only[Only one]\n", "single_element", None),
        ("flowchart TD\n    one[The first]\n    two[The second]\n", "no_links", None),
        (CLASSES.replace("Order", "order"), "naming", 2),
        (CLASSES.replace("places", "xx"), "label", 2),
        (SEQUENCE.replace("log in", " "), "label", 4),
        (SEQUENCE + "    participant Idler\n", "unconnected", 6),
        (STATES.replace(" : job done", ""), "label", 4),
        (STATES.replace("    [*] --> Idle\n", ""), "no_start", None),
        (STATES.replace("    Idle --> [*]\n", ""), "no_end", None),
        (ENTITIES.replace("places", "link"), "label", 2),
    ],
)
def test_each_lost_point_has_its_finding(text: str, kind: str, line: int | None) -> None:
    judged = verdict(text)
    assert judged.valid
    if not kind:
        assert judged == Validation(100.0, True, ())
        return
    assert judged.score < 100.0
    assert (kind, line) in [(finding.kind, finding.line) for finding in judged.findings]
    assert all(finding.message.startswith(f"line {finding.line}: ") for finding in judged.findings if finding.line)


def test_members_of_a_linked_subgraph_hang_together() -> None:
    web, data = "subgraph web [Web]\nbrowser[Browser]\nend\n", "subgraph data [Data]\nstore[Store]\nend\n"
    text = f"flowchart TD\n{web}{data}web --> data\n"
    assert "unconnected" not in found(text)
    assert "unconnected" in found(text.replace("web --> data", "web --> other[Other]"))


def test_the_ends_of_composite_states_hang_together() -> None:
    text = STATES + "    state Busy {\n        [*] --> Loading\n        Loading --> [*]\n    }\n"
    assert not {"unconnected", "several_parts"} & set(found(text))


def test_the_form_of_a_diagram_is_not_scored_by_its_whitespace() -> None:
    assert verdict(FLOW.replace("\n", "\r\n")) == verdict(FLOW)
    assert verdict("\n\n" + FLOW).score == 100.0


def test_weights_shift_the_score() -> None:
    text = FLOW.replace("|yes|", "")
    assert verdict(text, weights={"labels": 0}).score == 100.0
    assert verdict(text, weights={"labels": 500}).score < verdict(text).score


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kind": ["er"]}, TypeError, "kind"),
        ({"kinds": ["er", "pie"]}, ValueError, "kinds"),
        ({"kinds": []}, ValueError, "kinds"),
        ({"kinds": "er"}, ValueError, "kinds"),
        ({"weights": 3}, ValueError, "weights"),
        ({"weights": {"shape": 3}}, TypeError, "shape"),
        ({"weights": {"labels": -1}}, ValueError, "labels"),
        ({"weights": {"labels": "much"}}, ValueError, "labels"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(options)


def test_the_weights_of_a_whole_diagram_make_a_hundred() -> None:
    weights = Weights()
    parts = ("structure", "elements", "connections", "labels", "naming", "duplicates", "ends")
    assert sum(getattr(weights, part) for part in parts) == 100.0


def test_what_is_too_long_to_be_drawn_is_refused() -> None:
    refused = verdict("flowchart TD\n" + "a --> b\n" * MAX_CHARS)
    assert (refused.valid, refused.findings[0].kind) == (False, "too_long")


@given(st.sampled_from(sorted(GOOD)), st.data())
def test_damage_never_breaks_the_validator(kind: str, data: st.DataObject) -> None:
    text = GOOD[kind]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    damaged = (
        text[:start]
        + data.draw(st.sampled_from(["", "[", "(", '"', "--", "\n", "end", "{", "%%", ":", "é"]))
        + text[end:]
    )
    judged = verdict(damaged, {"elements": ["order", "user"]})
    assert 0.0 <= judged.score <= (100.0 if judged.valid else INVALID_CAP)
    assert judged.score == 100.0 or judged.findings
    assert verdict(damaged, {"elements": ["order", "user"]}) == judged
