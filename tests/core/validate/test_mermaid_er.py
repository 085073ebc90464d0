from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.mermaid.er import INVALID_CAP, MermaidErValidator, Weights, is_sensible_label, snake_case
from core.validate.mermaid.er_syntax import parse
from core.validate.validator import Validation, Validator

ASKED = {"entities": ["customer", "order"]}
HOUSE = """erDiagram
    customer ||--o{ order : places
    customer {
        int id PK
        string full_name
    }
    order {
        int id PK
        int customer_id FK
        date due_date
    }
"""


def verdict(text: str, expected: Mapping[str, object] | None = ASKED) -> Validation:
    return MermaidErValidator().validate(text, expected=expected)


def kinds(text: str, expected: Mapping[str, object] | None = ASKED) -> list[str]:
    return sorted(finding.kind for finding in verdict(text, expected).findings)


def test_house_style_is_perfect() -> None:
    validator: Validator = MermaidErValidator()
    assert validator.name == "mermaid_er"
    assert validator.validate(HOUSE, prompt="anything", expected=ASKED) == Validation(100.0, True, ())


@pytest.mark.parametrize(
    ("old", "new", "kind", "line"),
    [
        ("    customer {\n        int id PK\n", "    customer {\n", "missing_pk", 3),
        ("        int id PK\n        int customer_id FK", "        int customer_id FK", "missing_pk", 7),
        ("        int customer_id FK\n", "", "missing_fk", 7),
        ("full_name", "fullName", "naming", 5),
        ("        date due_date\n", "        date due_date\n        date due_date\n", "duplicate_attribute", 11),
        ("places", "rel", "label", 2),
    ],
)
def test_each_broken_rule_costs_points_and_names_its_line(old: str, new: str, kind: str, line: int) -> None:
    assert old in HOUSE
    result = verdict(HOUSE.replace(old, new))
    assert result.valid
    assert [(finding.kind, finding.line) for finding in result.findings] == [(kind, line)]
    assert result.findings[0].message.startswith(f"line {line}: ")
    assert INVALID_CAP < result.score < 100


def test_messages_name_what_to_do() -> None:
    broken = HOUSE.replace("        int id PK\n        int customer_id FK\n", "")
    messages = [finding.message for finding in verdict(broken).findings]
    assert "line 7: entity `order` has no primary key `int id PK`" in messages
    assert "line 7: entity `order` has no foreign key `int customer_id FK` for its relation to `customer`" in messages


def test_keys_that_are_nearly_right_earn_part_of_the_points() -> None:
    def score_with(key: str) -> float:
        return verdict(HOUSE.replace("int id PK\n        string full_name", f"{key}\n        string full_name")).score

    assert score_with("date x") < score_with("string code PK") < score_with("string id PK") < score_with("int id PK")
    assert score_with("int id") == score_with("string id PK")
    unmarked = verdict(HOUSE.replace("customer_id FK", "customer_id"))
    absent = verdict(HOUSE.replace("        int customer_id FK\n", ""))
    assert absent.score < unmarked.score < 100
    assert "does not mark `customer_id` as `FK`" in unmarked.findings[0].message


def test_score_falls_smoothly_with_every_entity_that_breaks_a_rule() -> None:
    names = [f"thing_{number}" for number in range(5)]
    scores = []
    for broken in range(6):
        blocks = "".join(
            f"  {name} {{\n{'' if index < broken else '    int id PK'}\n    string title\n  }}\n"
            for index, name in enumerate(names)
        )
        scores.append(verdict("erDiagram\n" + blocks, None).score)
    steps = [before - after for before, after in pairwise(scores)]
    assert all(step == pytest.approx(steps[0]) and step > 0 for step in steps)


def test_missing_entities_count_only_when_they_were_asked_for() -> None:
    asked = {"entities": ["customer", "order", "invoice"]}
    result = verdict(HOUSE, asked)
    assert result.score == pytest.approx(95.0)
    assert [finding.kind for finding in result.findings] == ["missing_entity"]
    assert verdict(HOUSE, None).score == 100.0
    assert verdict(HOUSE, {"entities": "customer"}).score == 100.0


@pytest.mark.parametrize("name", ["Customer", "CUSTOMER", "customers", "Customers"])
def test_asked_entities_are_found_in_other_spellings(name: str) -> None:
    assert verdict(HOUSE, {"entities": [name]}).score == 100.0


def test_an_alias_counts_as_the_entity() -> None:
    text = HOUSE.replace("    customer {", '    customer["Client"] {')
    assert verdict(text, {"entities": ["client"]}).score == 100.0


def test_an_entity_without_a_relation_is_reported() -> None:
    text = HOUSE + "    note {\n        int id PK\n    }\n"
    result = verdict(text)
    assert [finding.kind for finding in result.findings] == ["unconnected"]
    assert 90 < result.score < 100


def test_leaving_out_the_relations_does_not_pay() -> None:
    without = HOUSE.replace("    customer ||--o{ order : places\n", "")
    assert verdict(without).score < verdict(HOUSE.replace("places", "rel").replace("customer_id FK", "x")).score


def test_the_child_is_on_the_many_side() -> None:
    assert verdict(HOUSE.replace("customer ||--o{ order", "order }o--|| customer")).score == 100.0
    assert kinds(HOUSE.replace("customer ||--o{ order", "order ||--o{ customer")) == ["missing_fk"]
    assert verdict(HOUSE.replace("||--o{", "||--||")).score == 100.0


def test_weights_are_options() -> None:
    only_labels = Weights(0, 0, 0, 0, 0, 0, 1)
    assert MermaidErValidator(only_labels).validate(HOUSE.replace("places", "rel")).score == 0.0
    assert MermaidErValidator(only_labels).validate(HOUSE.replace("int id PK", "int x")).score == 100.0
    assert MermaidErValidator(Weights(0, 0, 0, 0, 0, 0, 0)).validate(HOUSE).score == 100.0


@pytest.mark.parametrize("text", ["", "   \n", "Sure! I can help.", "graph TD\n  a --> b", "erDiagram", "erDiagram\n"])
def test_what_is_no_diagram_scores_nothing(text: str) -> None:
    result = verdict(text)
    assert (result.score, result.valid) == (0.0, False)
    assert "syntax" in [finding.kind for finding in result.findings]


def test_an_invalid_diagram_scores_by_how_far_it_reads() -> None:
    lines = HOUSE.rstrip().split("\n")
    scores = []
    for at in range(1, len(lines) + 1):
        result = verdict("\n".join([*lines[:at], "    ???", *lines[at:]]))
        assert not result.valid
        assert [finding.line for finding in result.findings if finding.kind == "syntax"] == [at + 1]
        scores.append(result.score)
    assert scores == sorted(scores)
    assert scores[0] < 5
    assert 15 < scores[-1] <= INVALID_CAP


def test_an_unfinished_diagram_is_invalid() -> None:
    result = verdict(HOUSE.rstrip()[:-1])
    assert not result.valid
    assert "never closed" in result.findings[0].message


def test_lines_count_from_the_top_of_the_whole_response() -> None:
    text = "Here it is:\n\n```mermaid\n" + HOUSE.replace("full_name", "fullName") + "```\nEnjoy!\n"
    result = verdict(text)
    assert result.valid
    assert [finding.line for finding in result.findings] == [8]
    fenced_error = "Intro\n```mermaid\nerDiagram\n  a\n  ???\n```"
    assert [at.line for at in parse(fenced_error).problems] == [5]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("OrderLine", "order_line"), ("orderID", "order_id"), ("order-line", "order_line"), ("HTTPServer", "http_server")],
)
def test_snake_case(name: str, plain: str) -> None:
    assert snake_case(name) == plain
    assert snake_case(plain) == plain


@pytest.mark.parametrize(("label", "good"), [("places", True), ("is part of", True), ("rel", False), ("x", False)])
def test_labels(label: str, good: bool) -> None:
    assert is_sensible_label(label) is good
    assert not is_sensible_label("")


SOUP_TEXT = """erDiagram a order { } ||--o{ : " int id PK , [ ] ~ %% x 1 to ``` subgraph end style é"""
SOUP = st.lists(
    st.sampled_from([*SOUP_TEXT.split(), " ", "\n", "int id PK", "title ", "subgraph g\n"]), max_size=40
).map("".join)


@settings(max_examples=100)
@given(st.one_of(SOUP, SOUP.map("erDiagram\n".__add__), st.text(max_size=60)))
def test_any_text_gets_a_score_within_bounds(text: str) -> None:
    result = verdict(text)
    assert 0.0 <= result.score <= 100.0
    assert result.valid or result.score <= INVALID_CAP
    assert result == verdict(text)
    last = text.count("\n") + 1
    assert all(finding.line is None or 1 <= finding.line <= last for finding in result.findings)


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 3))
def test_a_star_of_house_entities_is_always_perfect(children: int, extra: int) -> None:
    lines = ["erDiagram", "  hub { int id PK }"]
    for number in range(children):
        lines.append(f"  hub ||--o{{ child_{number} : owns")
        more = " ".join(f"string field_{index}" for index in range(extra))
        lines.append(f"  child_{number} {{ int id PK int hub_id FK {more} }}")
    names = ["hub", *(f"child_{number}" for number in range(children))]
    assert verdict("\n".join(lines), {"entities": names}).score == 100.0
