"""One pair in words: who won by what, and what was found in both answers."""

from __future__ import annotations

from typing import Any

import pytest

from core.paths import Home
from core.prove.pooled import outcomes
from storage import ab_tests, ab_votes
from storage.ab_votes import AbVoteRow
from storage.db import Store
from storage.rows import AbPairRow
from tui.versions.pair_reading import PairFindings, decision, read_findings
from tui.versions.pair_words import findings_in_full, findings_line, outcome

PAIR = AbPairRow(1, 0, None, "Draw", "one", "two", 90.0, 10.0, 0.1, 0.1, 1, 1, "a")


def vote(choice: Any, number: int = 1, *, swapped: bool = False) -> AbVoteRow:
    return AbVoteRow(number, 100.0, 1, 0, choice, swapped, None, None)


@pytest.mark.parametrize(
    ("votes", "told"),
    [
        ((), "✗ lost: the baseline is better, by score\nscores: 90.0 → 10.0 (-80.0), the baseline · no vote"),
        ((vote("skip"),), "by score\nscores: 90.0 → 10.0 (-80.0), the baseline · skipped in the blind vote"),
        ((vote("a"),), "by vote\n.*vote: baseline, then on the left, just now; the scores agree"),
        ((vote("b", swapped=True),), "✓ won.*, by vote\n.*candidate, then on the left, just now; the scores say the"),
        ((vote("b"),), "vote: candidate, then on the right"),
        ((vote("both_bad"),), "= tie, by vote\n.*vote: both bad, just now$"),
        ((vote("a"), vote("b", 2), vote("skip", 3)), r"✓ won.*\n.*\(3 votes; the newest counts\); the scores say"),
    ],
)
def test_the_newest_vote_that_is_no_skip_decides(votes: tuple[AbVoteRow, ...], told: str) -> None:
    said = outcome(PAIR, decision(PAIR, votes), votes, 100.0).plain
    if "*" in told or told.endswith("$"):
        import re

        assert re.search(told, said), said
    else:
        assert told in said


def test_the_outcome_is_the_one_that_counts_in_the_verdict(store: Store, home: Home) -> None:
    from versions_kit import add_version

    a, b = add_version(store, home, 0), add_version(store, home, 1)
    test = ab_tests.start(store, created_at=1.0, category="erd", version_a=a.id, version_b=b.id, seed=0, settings={})
    winners = ("a", "b", "tie")
    pairs = [
        AbPairRow(test, place, None, f"p{place}", "one", "two", 1.0, 1.0, 0.1, 0.1, 1, 1, winners[place % 3],  # type: ignore[arg-type]
                  judged=place % 4 != 0)
        for place in range(24)
    ]  # fmt: skip
    ab_tests.add_pairs(store, pairs)
    choices: tuple[ab_votes.VoteChoice, ...] = ("a", "b", "tie", "both_good", "both_bad", "skip")
    for place in range(0, 24, 2):
        for choice in (choices[place % 6], choices[(place // 2) % 6]):
            ab_votes.add(store, at=1.0, test_id=test, position=place, choice=choice, swapped=False)
    votes: dict[int, list[AbVoteRow]] = {}
    for each in ab_votes.in_force(store, [test]):
        votes.setdefault(each.position, []).append(each)
    told = [decision(pair, votes.get(pair.position, ())).winner for pair in pairs]
    assert told == outcomes(store, a.id, b.id).winners


def test_findings_are_counted_by_severity_and_named_by_kind(home: Home) -> None:
    found = [{"kind": "missing_pk", "severity": "error", "message": "m", "line": 1}] * 2
    found.append({"kind": "\x1b[31m", "severity": "warning", "message": "[/x]", "line": None})
    told = findings_line(PairFindings(found, [])).plain.splitlines()
    assert told == ["baseline  ✗ 2 errors ! 1 warning: missing pk × 2, ␛[31m", "candidate ✓ nothing found"]
    full = findings_in_full(PairFindings(found, []), ("[/]", "v1")).plain
    assert "Baseline: [/]" in full and "[/x]" in full and "\x1b" not in full and "Candidate: v1\n✓ nothing" in full
    assert findings_line(PairFindings(why="it is gone")).plain == "findings: it is gone"


def test_a_look_runs_no_program_and_asks_no_model(home: Home) -> None:
    home.config.write_text(
        '[categories.run]\nvalidator = "command"\n[categories.run.validator_options]\ncommand = ["false"]\n',
        encoding="utf-8",
    )
    assert read_findings(home, "run", PAIR).why == "the validator command is not asked for a look"
    assert read_findings(home, "gone", PAIR).why == "the category is gone"
    assert read_findings(home, "erd", PAIR).baseline
