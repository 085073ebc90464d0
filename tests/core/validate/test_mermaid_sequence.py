from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.mermaid.graph import Graph, Link, body_of
from core.validate.mermaid.sequence import parse
from core.validate.mermaid.text import MAX_PROBLEMS

HEAD = "sequenceDiagram\n"
PIECES = [
    *("A", "B", "é", "->>", "-->>", "-x", "--", "-", "+", "()", ":", ": x", ";", "\n", " ", "#", "%%", "loop", "alt"),
    *("else", "end", "box", "note over ", "left of ", "participant ", "create ", "destroy ", "activate ", "as ", "@{"),
    *("}", "autonumber ", "title ", "accDescr {", "/", "\\", "|", "<", ",", "1", ".5", "links ", "deactivate "),
]


def read(lines: str) -> Graph:
    return parse(HEAD + lines, 1)


def problem_lines(lines: str) -> list[int]:
    return [problem.line for problem in read(lines).problems]


def test_reads_participants_in_order_with_alias_and_kind() -> None:
    graph = read("participant W as Web shop<br/>(new)\nactor B\nB->>C: x\nNote over D: y")
    found = [(element.id, element.label, element.line, element.kind) for element in graph.elements.values()]
    assert found == [
        ("W", "Web shop<br/>(new)", 2, "participant"),
        ("B", "B", 3, "actor"),
        ("C", "C", 4, "participant"),
        ("D", "D", 5, "participant"),
    ]
    assert graph.kind == "sequence" and graph.lines == 5 and not graph.problems


def test_reads_messages_with_arrow_text_and_line() -> None:
    graph = read("loop x\nfront-end->>+John Doe: a: b\nJohn Doe--x-front-end:\nend")
    assert graph.links == [
        Link("front-end", "John Doe", "a: b", 3, "->>"),
        Link("John Doe", "front-end", "", 4, "--x"),
    ]
    assert not graph.problems


@pytest.mark.parametrize(
    "arrow",
    ["->", "-->", "->>", "-->>", "-x", "--x", "-X", "-)", "--)", "<<->>", "<<-->>", "-|\\", "--|/", "//-", "\\\\--"],
)
def test_every_arrow_is_kept_as_it_is_written(arrow: str) -> None:
    graph = read(f"a b{arrow}c: x")
    assert graph.links == [Link("a b", "c", "x", 2, arrow)]
    assert not graph.problems


def test_entities_neither_comment_nor_end_a_statement() -> None:
    graph = read("participant A as 1 #lt; 2\nA#35;->>B: I #9829; you # a comment")
    assert graph.elements["A"].label == "1 #lt; 2"
    assert graph.links == [Link("A#35;", "B", "I #9829; you", 3, "->>")]


def test_lines_count_from_the_first_line_of_the_response() -> None:
    body, first = body_of("Here it is:\n```mermaid\n---\ntitle: x\n---\nsequenceDiagram\nA->>B\n```\n")
    graph = parse(body, first)
    assert [problem.line for problem in graph.problems] == [7]


def test_reading_goes_on_after_a_slip() -> None:
    graph = read("A->>B\nB=>A: x\nA->>C: fine\nnote A: y")
    assert [problem.line for problem in graph.problems] == [2, 3, 5]
    assert [link.target for link in graph.links] == ["C"]
    assert "an arrow such as `->>`" in graph.problems[1].message


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("loop x\nA->>B: y", 2),
        ("A->>B: y\nend", 3),
        ("opt x\nelse y\nend", 3),
        ("par x\noption y\nend", 3),
        ("box x\nA->>B: y\nend", 3),
        ("A->>+B: x\nA-->>-B: y", 3),
        ("A->>B: x\ndeactivate B", 3),
        ("create participant B\nA->>C: x", 3),
        ("participant B\ncreate actor B\nA->>B: x", 3),
        ("destroy B\nA->>C: x", 3),
        ("box x\nparticipant A\nend\nbox y\nparticipant A\nend", 6),
        ("participant A@{ type: [ }", 2),
    ],
)
def test_the_problem_stands_where_the_trouble_is(lines: str, line: int) -> None:
    assert problem_lines(lines) == [line]


def test_what_only_the_order_forbids_is_told_only_when_the_rest_is_sound() -> None:
    assert problem_lines("deactivate A\nA->>B") == [3]
    assert problem_lines("deactivate A\nA->>B: x") == [2]


def test_problems_are_not_without_number() -> None:
    assert len(read("A\n" * 5000).problems) == MAX_PROBLEMS
    assert len(read("deactivate A\n" * 5000).problems) == MAX_PROBLEMS
    assert len(read("loop x\n" * 5000).problems) == MAX_PROBLEMS


@pytest.mark.parametrize("text", ["", "graph TD", "SequenceDiagram\nA->>B: x", "sequenceDiagramA->>B: x"])
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
