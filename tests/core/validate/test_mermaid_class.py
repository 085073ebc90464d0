from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.mermaid.class_diagram import MAX_PROBLEMS, parse
from core.validate.mermaid.graph import Graph, body_of

CORPUS = Path(__file__).parent / "mermaid_corpus" / "class.jsonl"
ENTRIES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
HEAD = "classDiagram\n"


def read(text: str) -> Graph:
    return parse(*body_of(text))


def test_the_corpus_is_large_and_has_both_kinds() -> None:
    valid = sum(entry["valid"] for entry in ENTRIES)
    assert len(ENTRIES) >= 200
    assert valid >= 90 and len(ENTRIES) - valid >= 100


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["name"] for entry in ENTRIES])
def test_agrees_with_mermaid(entry: dict[str, object]) -> None:
    graph = read(str(entry["diagram"]))
    assert (not graph.problems) == entry["valid"], graph.problems


def test_reads_classes_and_relations() -> None:
    graph = read(HEAD + 'class Pet["A pet"] {\n <<abstract>>\n +eat()\n}\nPet <|-- Dog : is a\nDog "1" o-- "*" Flea')
    assert [(each.id, each.label, each.kind, each.line) for each in graph.elements.values()] == [
        ("Pet", "A pet", "abstract", 2),
        ("Dog", "Dog", "", 6),
        ("Flea", "Flea", "", 7),
    ]
    assert [(link.source, link.target, link.label, link.kind) for link in graph.links] == [
        ("Pet", "Dog", "is a", "<|--"),
        ("Dog", "Flea", "", "o--"),
    ]
    assert (graph.kind, graph.problems) == ("class", [])


def test_blanks_within_a_name_vanish() -> None:
    assert list(read(HEAD + "class Order Line\n`Order Line` --> A.B").elements) == ["OrderLine", "Order Line", "A.B"]


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ("class A {\n +x", 2, "never closed"),
        ("class A\nA -> B", 3, "relation"),
        ("<<interface>> A", 2, "no line before"),
        ("namespace N {\n}", 2, "empty"),
        ("namespace N {\nclass A", 2, "never closed"),
        ("class A {\n run)\n}", 3, "without a name"),
        ("class A<T>", 2, "end of the line"),
        ("A --> B : x: y", 2, "end of the line"),
    ],
)
def test_tells_where_and_why(lines: str, line: int, words: str) -> None:
    problem = read(HEAD + lines).problems[0]
    assert problem.line == line
    assert words in problem.message


def test_goes_on_after_an_error() -> None:
    graph = read(HEAD + "A -> B\nclass C {\n +x\n}\nD --> C")
    assert [problem.line for problem in graph.problems] == [2]
    assert {"C", "D"} <= set(graph.elements)


@given(
    st.sampled_from(["", "<|", "*", "o", "<", ">", "|>"]),
    st.sampled_from(["--", ".."]),
    st.sampled_from(["", "|>", "*", "o", ">", "<", "<|"]),
)
def test_any_two_ends_make_a_relation(left: str, line: str, right: str) -> None:
    graph = read(HEAD + f'A "1" {left}{line}{right} "n" B : uses')
    assert not graph.problems
    assert graph.links[0].kind == left + line + right


@given(st.text(alphabet='AB{}()[]<>|*o-.:~"`+# \n', max_size=60))
def test_never_fails_and_lines_lie_in_the_text(text: str) -> None:
    graph = read(HEAD + text)
    assert all(1 <= problem.line <= text.count("\n") + 2 for problem in graph.problems)


@pytest.mark.parametrize(
    "text", ["class A {\n", "namespace A {", "A~", '"', "`", "a.", "A --> ", "<<", "%%", "\n", " ", "direction "]
)
def test_hostile_text_is_given_up_early(text: str) -> None:
    assert len(read(HEAD + text * 20_000).problems) <= 2 * MAX_PROBLEMS
