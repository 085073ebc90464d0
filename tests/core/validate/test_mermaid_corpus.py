"""Every diagram of the corpus must get the verdict that Mermaid itself gave it (see mermaid_corpus/record.mjs)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.validate.mermaid import class_diagram, er_syntax, flowchart, sequence, state
from core.validate.mermaid.graph import Graph, SyntaxProblem, body_of

CORPUS = Path(__file__).parent / "mermaid_corpus"
PARSERS: dict[str, Callable[[str, int], Graph]] = {
    "class": class_diagram.parse,
    "flowchart": flowchart.parse,
    "sequence": sequence.parse,
    "state": state.parse,
}
KINDS = [*PARSERS, "er"]


def load(kind: str) -> list[dict[str, object]]:
    lines = (CORPUS / f"{kind}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def problems_of(kind: str, text: str) -> list[SyntaxProblem]:
    return er_syntax.parse(text).problems if kind == "er" else PARSERS[kind](*body_of(text)).problems


@pytest.mark.parametrize("kind", KINDS)
def test_every_diagram_gets_the_verdict_of_mermaid(kind: str) -> None:
    entries = load(kind)
    wrong = []
    for entry in entries:
        problems = problems_of(kind, str(entry["diagram"]))
        if (not problems) != entry["valid"]:
            wrong.append(f"{entry['name']}: Mermaid says {entry['valid']}, we say {problems[:1] or 'valid'}")
    agreed = len(entries) - len(wrong)
    assert not wrong, f"{kind}: {agreed} of {len(entries)} verdicts agree\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_is_large_balanced_and_without_doubles(kind: str) -> None:
    entries = load(kind)
    valid = sum(1 for entry in entries if entry["valid"])
    assert len(entries) >= (80 if kind == "er" else 100)
    assert 0.35 <= valid / len(entries) <= 0.65
    assert len({entry["name"] for entry in entries}) == len(entries)
    assert len({entry["diagram"] for entry in entries}) == len(entries)


@pytest.mark.parametrize("kind", KINDS)
def test_problems_stand_on_lines_of_the_diagram(kind: str) -> None:
    for entry in load(kind):
        text = str(entry["diagram"])
        for problem in problems_of(kind, text):
            assert 1 <= problem.line <= text.count("\n") + 2, (entry["name"], problem)
            assert problem.message
