from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.mermaid.graph import Graph, Link, body_of
from core.validate.mermaid.state import parse
from core.validate.mermaid.text import MAX_PROBLEMS

HEAD = "stateDiagram-v2\n"
PIECES = [
    *("A", "B", "é", "-->", "--", "-", "[*]", ":", ": x", ":::", ";", "\n", " ", "#", "%%", "{", "}", '"', '"x" '),
    *("state ", "as ", "note left of ", "note ", "end note", "<<fork>>", "[[join]]", "direction ", "LR", "class "),
    *("classDef ", "style ", "click ", "href", "scale ", "3 width", "hide empty description", "accDescr {", "A,"),
]


def read(lines: str) -> Graph:
    return parse(HEAD + lines, 1)


def problem_lines(lines: str) -> list[int]:
    return [problem.line for problem in read(lines).problems]


def test_reads_states_and_transitions() -> None:
    graph = read("[*] --> Idle\nIdle --> Busy : job: comes\nBusy : works\nBusy --> [*]")
    assert [(element.id, element.label, element.kind) for element in graph.elements.values()] == [
        ("root_start", "root_start", "start"),
        ("Idle", "Idle", "state"),
        ("Busy", "works", "state"),
        ("root_end", "root_end", "end"),
    ]
    assert graph.links == [
        Link("root_start", "Idle", "", 2, "-->"),
        Link("Idle", "Busy", "job: comes", 3, "-->"),
        Link("Busy", "root_end", "", 5, "-->"),
    ]
    assert graph.kind == "state" and graph.lines == 5 and not graph.problems


def test_composite_states_have_a_start_of_their_own() -> None:
    graph = read(
        'state "Being shipped" as S {\n[*] --> Packed\nstate In {\n[*] --> x\n}\n--\n[*] --> Paid\n}\nS --> [*]'
    )
    assert not graph.problems
    kinds = {element.id: element.kind for element in graph.elements.values()}
    assert kinds["S"] == kinds["In"] == "composite"
    assert kinds["S_start"] == kinds["In_start"] == "start" and kinds["root_end"] == "end"
    assert graph.elements["S"].label == "Being shipped"


@pytest.mark.parametrize(("left", "right"), [("<<", ">>"), ("[[", "]]")])
@pytest.mark.parametrize("kind", ["fork", "join", "choice"])
def test_forks_joins_and_choices(kind: str, left: str, right: str) -> None:
    graph = read(f"a --> f\nstate f {left}{kind}{right}\nf --> b")
    assert graph.elements["f"].kind == kind and not graph.problems


def test_a_bare_declaration_declares_nothing() -> None:
    assert not read("state A").elements


def test_notes_swallow_what_looks_like_transitions() -> None:
    graph = read('note left of A\n  B --> C }\nend note\nnote right of D : E --> F\nnote "x" as N')
    assert list(graph.elements) == ["A", "D"] and not graph.links and not graph.problems


def test_a_line_with_a_direction_is_nothing_else() -> None:
    graph = read("A --> B --> direction LR and C\nD --> E")
    assert not graph.problems and list(graph.elements) == ["D", "E"]


def test_settings_are_names_inside_a_composite_state() -> None:
    assert not read("state A {\nclick B\n}").problems
    assert problem_lines("click B") == [2]


def test_line_breaks_matter_only_outside_composite_states() -> None:
    assert not read("state A {\nB\n--> C\n}").problems
    assert problem_lines("B\n--> C") == [3]
    assert not read("B \n--> C").problems


def test_entities_are_kept() -> None:
    assert read("A --> B : 1 #lt; 2").links[0].label == "1 #lt; 2"


def test_lines_count_from_the_first_line_of_the_response() -> None:
    body, first = body_of("So:\n\n```mermaid\nstateDiagram\n%% x\nA -> B\n```\n")
    assert [problem.line for problem in parse(body, first).problems] == [6]


def test_reading_goes_on_after_a_slip() -> None:
    graph = read("A -> B\nC --> D\nnote over E : x\nF --> G")
    assert [problem.line for problem in graph.problems] == [2, 4]
    assert [link.target for link in graph.links] == ["D", "G"]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("state A {\nB", 2),
        ("state A {\nstate B {\n}", 2),
        ("state two words {", 2),
        ("state A\nstate B {\n}", 2),
        ("state A as B", 2),
        ('state "x', 2),
        ("note left of A\nx", 2),
        ("classDef default fill:#fff", 2),
        ("A --> B :", 2),
        ("A:::", 2),
        ("A --> B\n--", 3),
        ('click A "x"', 2),
    ],
)
def test_the_problem_stands_where_the_trouble_is(lines: str, line: int) -> None:
    assert problem_lines(lines)[0] == line


def test_a_composite_state_has_one_description_at_most() -> None:
    assert not read("state A {\nB : x\nB : y\n}\nA : x").problems
    assert problem_lines("state A {\nB\n}\nA : x\nA : y") == [6]
    assert problem_lines('A : x\nstate "y" as A {\nB\n}') == [3]


def test_problems_are_not_without_number() -> None:
    assert len(read("A ->\n" * 5000).problems) == MAX_PROBLEMS
    assert len(read("state A {\n" * 5000).problems) == MAX_PROBLEMS


@pytest.mark.parametrize("text", ["", "graph TD", "StateDiagram\nA", "stateDiagram-v3\nA", "stateDiagram direction LR"])
def test_a_text_without_the_header_is_one_problem(text: str) -> None:
    assert len(parse(text, 4).problems) == 1
    assert parse(text, 4).problems[0].line == 4


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_text_is_read_to_its_end(lines: str) -> None:
    graph = read(lines)
    last = lines.count("\n") + 2
    assert all(1 <= problem.line <= last for problem in graph.problems)
    assert all(link.source in graph.elements and link.target in graph.elements for link in graph.links)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_a_blank_line_before_the_header_only_moves_the_lines(lines: str) -> None:
    moved = parse(f"\n{HEAD}{lines}", 1).problems
    assert [(problem.line - 1, problem.message) for problem in moved] == [
        (problem.line, problem.message) for problem in read(lines).problems
    ]
