from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.mermaid.flow_data import SHAPES
from core.validate.mermaid.flowchart import MAX_LINKS, MAX_PROBLEMS, parse
from core.validate.mermaid.graph import Graph, body_of

CORPUS = Path(__file__).parent / "mermaid_corpus" / "flowchart.jsonl"
ENTRIES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
HEAD = "flowchart TD\n"


def read(text: str) -> Graph:
    return parse(*body_of(text))


def accepts(lines: str) -> bool:
    return not read(HEAD + lines).problems


def test_the_corpus_is_large_and_has_both_kinds() -> None:
    valid = sum(entry["valid"] for entry in ENTRIES)
    assert len(ENTRIES) >= 200
    assert valid >= 80 and len(ENTRIES) - valid >= 100


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["name"] for entry in ENTRIES])
def test_agrees_with_mermaid(entry: dict[str, object]) -> None:
    graph = read(str(entry["diagram"]))
    assert (not graph.problems) == entry["valid"], graph.problems


def test_reads_nodes_links_and_labels() -> None:
    graph = read(HEAD + '  A[Start] & B --> C{"Go on?"}\n  C -->|yes| D([End])\n  C -- no --> A')
    assert [(node.id, node.label, node.kind, node.line) for node in graph.elements.values()] == [
        ("A", "Start", "[", 2),
        ("B", "B", "", 2),
        ("C", "Go on?", "{", 2),
        ("D", "End", "([", 3),
    ]
    assert [(link.source, link.target, link.label, link.line) for link in graph.links] == [
        ("A", "C", "", 2),
        ("B", "C", "", 2),
        ("C", "D", "yes", 3),
        ("C", "A", "no", 4),
    ]
    assert (graph.kind, graph.lines, graph.problems) == ("flowchart", 4, [])


def test_reads_the_data_of_a_shape() -> None:
    graph = read(HEAD + 'A@{ shape: diam, label: "a } b" } e1@--> B\ne1@{ animate: true }')
    assert (graph.elements["A"].label, graph.elements["A"].kind) == ("a } b", "diam")
    assert list(graph.elements) == ["A", "B"]


def test_knows_who_is_in_a_subgraph() -> None:
    graph = read(HEAD + "subgraph outer\nA\nsubgraph inner [Inner one]\nB --> C\nend\nend\nD --> outer")
    assert graph.groups == {"outer": ["A", "inner"], "inner": ["B", "C"]}


def test_the_header_may_stand_behind_front_matter_comments_and_directives() -> None:
    graph = read("Here:\n```mermaid\n---\ntitle: x\n---\n%% c\n%%{init: {}}%%\ngraph LR\nA --> B --> \n```\n")
    assert [problem.line for problem in graph.problems] == [10]
    assert graph.elements["A"].line == 9


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ("A --> B\nB --> end", 3, "reserved"),
        ("A[f(x)]", 2, "quotes"),
        ("A --> B\nA -> B", 3, "found"),
        ("subgraph x\nA", 2, "never closed"),
        ("A[Start --> B\nB --> C", 2, "`]`"),
        ("A --> B\nlinkStyle 7 stroke:red", 3, "link with the number 7"),
        ("A@{ shape: blob }", 2, "no shape `blob`"),
        ("A --> B\nend", 3, "closes no subgraph"),
    ],
)
def test_tells_where_and_why(lines: str, line: int, words: str) -> None:
    problem = read(HEAD + lines).problems[0]
    assert problem.line == line
    assert words in problem.message


def test_goes_on_after_an_error() -> None:
    graph = read(HEAD + "A[x --> B\nC --> D\nE -> F\nG --> H")
    assert {"C", "D", "G", "H"} <= set(graph.elements)
    assert [problem.line for problem in graph.problems] == [2, 4]


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_known_shape_is_legal(shape: str) -> None:
    assert accepts(f"A@{{ shape: {shape} }}")


@given(st.sampled_from("xo< "), st.sampled_from(["-", "=", "."]), st.integers(1, 6), st.sampled_from("xo>-="))
def test_links_of_any_length_join_two_nodes(head: str, line: str, length: int, tip: str) -> None:
    body = {"-": "-" * (length + 1), "=": "=" * (length + 1), ".": "-" + "." * length + "-"}[line]
    end = (
        tip
        if (line, tip) not in (("-", "="), ("=", "-"), (".", "="), (".", "-"))
        else {"-": "-", "=": "="}.get(line, "")
    )
    graph = read(HEAD + f"A {head}{body}{end} B")
    assert not graph.problems
    assert [(link.source, link.target) for link in graph.links] == [("A", "B")]


@given(st.text(alphabet='AB[](){}|"-=.>xo<&;:@#%~/\\ \n', max_size=60))
def test_never_fails_and_lines_lie_in_the_text(text: str) -> None:
    graph = read(HEAD + text)
    assert all(1 <= problem.line <= text.count("\n") + 2 for problem in graph.problems)


def test_more_links_than_mermaid_draws_are_refused() -> None:
    chain = " --> ".join(f"n{number}" for number in range(MAX_LINKS + 1))
    assert accepts(chain)
    assert not accepts(chain + " --> last")


@pytest.mark.parametrize(
    "text",
    [
        "A[",
        '"',
        "A@{ x\n",
        "A -- x\n",
        "a;",
        "-",
        "=",
        "@",
        'A["',
        "<a",
        "{{",
        "subgraph ",
        "x --> ",
        "é",
        " ",
        "\n",
        "%%{",
        "A(-",
    ],
)
def test_hostile_text_is_given_up_early(text: str) -> None:
    graph = read(HEAD + text * 20_000)
    assert len(graph.problems) <= 2 * MAX_PROBLEMS
    assert read("---\n" + text * 20_000).problems is not None
