"""Everything that is known of two versions against each other: stored prompts, shadowed requests, people's votes.

Each prompt counts once, but for those that the stored test itself holds more than once. What a person said of its two
answers outranks their scores: the newest vote in force decides, where "both good" and "both bad" are ties and a skip
says nothing. Without a vote the scores decide, where a validator could judge. Of several pairs with the same prompt the
one that was voted on last stands, else the first judged one.

Method. The decisive outcomes are tested by a mixture e-value (Robbins, Annals of Mathematical Statistics 41, 1970), a
non-negative supermartingale of mean at most 1 while the candidate is no better, so that by Ville's inequality it ever
reaches 20 with probability at most 5 %; the interval is its confidence sequence (Howard, Ramdas, McAuliffe and Sekhon,
Annals of Statistics 49, 2021). Both depend on the counts alone. Were the versions alike, which answer is whose would be
a fair coin for each pair, whatever score and person say of the two texts: so at any moment the wins among the decisive
outcomes are binomial with ½, as long as which pairs are voted on does not depend on the scores. That is why votes are
blind and in random order (core/prove/voting.py). A vote that turns an outcome round is a further look at a pair that
was counted before, which Ville's inequality does not cover. So that case is simulated (benchmarks/statistics.py): with
a look after every pair and every vote, false promotions stay below 3 % even where people contradict every other score.
That is with the usual 100 tests at least; the evidence alone, at any number, then reaches 20 in 5.8 % of 200 pairs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.categories import Category
from core.config import Config
from core.prove import stats
from core.prove.ab import forgotten_by, result_of, summary
from core.release.promote import announce_ready
from core.select.split import prompt_hash
from storage import ab_tests, ab_votes, versions
from storage.ab_votes import AbVoteRow, VoteChoice
from storage.db import Store
from storage.rows import AbPairRow, AbTestRow, TestSource, VersionRow, Winner

_WINNERS: Final[Mapping[str, Winner]] = {"a": "a", "b": "b", "tie": "tie", "both_good": "tie", "both_bad": "tie"}
_OTHER: Final[Mapping[Winner, Winner]] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one prompt. `pair` has its arms as in the pool; in its own test they are `turned`.

    `vote` is the newest vote in force, in the words of the test's own arms; `scored` is who won by the scores, None
    where they do not tell.
    """

    key: str
    source: TestSource
    pair: AbPairRow
    turned: bool
    vote: AbVoteRow | None

    @property
    def scored(self) -> Winner | None:
        """Who won by the scores; None where they only stand in."""
        return self.pair.winner if self.pair.judged else None

    @property
    def voted(self) -> Winner | None:
        """Who won by the vote; None without one."""
        if self.vote is None:
            return None
        said = _WINNERS[self.vote.choice]
        return _OTHER[said] if self.turned else said

    @property
    def winner(self) -> Winner | None:
        """Who won: a person's word before the scores."""
        return self.voted or self.scored


@dataclass(frozen=True, slots=True)
class Pool:
    """The outcomes of a candidate (`version_b`) against `version_a`, one for each prompt, in the order of their entry.

    `tests` are the tests that they come from; `votes` all votes in force on these, also skips.
    """

    version_a: int
    version_b: int
    tests: tuple[AbTestRow, ...]
    outcomes: tuple[Outcome, ...]
    votes: tuple[AbVoteRow, ...]

    @property
    def pairs(self) -> list[AbPairRow]:
        """The pair of each outcome."""
        return [outcome.pair for outcome in self.outcomes]

    @property
    def winners(self) -> list[Winner | None]:
        """The winner of each outcome."""
        return [outcome.winner for outcome in self.outcomes]

    def sources(self) -> dict[str, int]:
        """How many outcomes each source has decided: a person's vote, else the scores of its test; and by nobody."""
        counts = {"votes": 0, "stored": 0, "shadow": 0, "not_judged": 0}
        for outcome in self.outcomes:
            told = outcome.source if outcome.scored is not None else "not_judged"
            counts["votes" if outcome.voted is not None else told] += 1
        return counts

    def agreement(self) -> dict[str, Any]:
        """How often people and scores name the same winner, over the pairs on which both name one.

        `left` and `right` count the sides that were chosen, and `side_p` is the two-sided p of a fair coin: a small one
        says that the side of the screen had a say.
        """
        both = [(each.voted, each.scored) for each in self.outcomes if {each.voted, each.scored} <= {"a", "b"}]
        agree = sum(one == other for one, other in both)
        chosen = [vote for vote in self.votes if vote.choice in ("a", "b")]
        left = sum((vote.choice == "b") == vote.swapped for vote in chosen)
        return {
            "n": len(both),
            "agree": agree,
            "share": agree / len(both) if both else None,
            "left": left,
            "right": len(chosen) - left,
            "side_p": stats.sign_test(left, len(chosen) - left),
        }


def outcomes(store: Store, version_a: int, version_b: int) -> Pool:
    """Pools the newest stored-prompt test of two versions, whichever was the candidate, and all their shadow tests."""
    known = ab_tests.between(store, version_a, version_b)
    stored = [test for test in known if test.source == "stored"]
    # One that was begun anew and has no answers yet must not hide the one before.
    latest = next((test for test in reversed(stored) if test.result is not None), stored[-1] if stored else None)
    tests = [test for test in known if test.source == "shadow" or test is latest]
    ids = [test.id for test in tests]
    votes = ab_votes.in_force(store, ids)
    said = {(vote.test_id, vote.position): vote for vote in votes if vote.choice != "skip"}
    hashes = ab_tests.prompt_hashes(store, ids)
    chosen: dict[str, Outcome] = {}
    for test in tests:
        turned = test.version_a != version_a
        for pair in ab_tests.pairs(store, test.id):
            at = (pair.test_id, pair.position)
            key = hashes.get(at) or prompt_hash(pair.prompt)
            if test is latest and key in chosen and chosen[key].pair.test_id == test.id:
                # The same words after other turns, or under another system prompt: chosen on purpose as two.
                key = f"{key}#{pair.position}"
            found = Outcome(key, test.source, _turned(pair) if turned else pair, turned, said.get(at))
            if key not in chosen or _rank(found) > _rank(chosen[key]):
                chosen[key] = found
    return Pool(version_a, version_b, tuple(tests), tuple(chosen.values()), tuple(votes))


def _rank(outcome: Outcome) -> tuple[int, bool]:
    return outcome.vote.id if outcome.vote else 0, outcome.pair.judged


def _turned(pair: AbPairRow) -> AbPairRow:
    """The same pair with its arms exchanged."""
    return replace(
        pair,
        response_a=pair.response_b,
        response_b=pair.response_a,
        score_a=pair.score_b,
        score_b=pair.score_a,
        latency_a=pair.latency_b,
        latency_b=pair.latency_a,
        tokens_a=pair.tokens_b,
        tokens_b=pair.tokens_a,
        winner=_OTHER[pair.winner],
        confidence_a=pair.confidence_b,
        confidence_b=pair.confidence_a,
        correct_a=pair.correct_b,
        correct_b=pair.correct_a,
    )


def pooled(store: Store, config: Config, category: Category, pool: Pool, *, bootstrap: bool = True) -> dict[str, Any]:
    """The result of a pool, as that of a test, with `sources`, `agreement` and the ids of its `tests`.

    Without `bootstrap` it takes milliseconds, and lacks that one interval.
    """
    name_a, name_b = (versions.get(store, each).name for each in (pool.version_a, pool.version_b))
    result = result_of(
        pool.pairs,
        category.success_score,
        config.ab,
        seed=(pool.tests[-1].seed if pool.tests else 0) if bootstrap else None,
        forgotten=forgotten_by(store, pool.version_b),
        winners=pool.winners,
    )
    return {
        **result,
        "name_a": name_a,
        "name_b": name_b,
        "summary": summary(result, name_a, name_b),
        "sources": pool.sources(),
        "agreement": pool.agreement(),
        "tests": [test.id for test in pool.tests],
    }


def standing(store: Store, config: Config, category: Category, candidate: VersionRow) -> Mapping[str, Any] | None:
    """What is known of a candidate against the version it was last tested with, with `test_id`; None without a test.

    Where there are votes or shadowed requests it is the pooled result, else that of the test itself.
    """
    own = [test for test in ab_tests.list_tests(store, category.name) if test.version_b == candidate.id]
    latest = next((test for test in own if test.result is not None or test.source == "shadow"), None)
    if latest is None:
        return None
    known = ab_tests.between(store, latest.version_a, candidate.id)
    more = any(test.source == "shadow" for test in known) or ab_votes.in_force(store, [test.id for test in known])
    if not more:
        return {**(latest.result or {}), "test_id": latest.id}
    pool = outcomes(store, latest.version_a, candidate.id)
    return {**pooled(store, config, category, pool, bootstrap=False), "test_id": latest.id} if pool.outcomes else None


def settle(
    store: Store, config: Config, category: Category, version_a: int, version_b: int, *, now: float | None = None
) -> Mapping[str, Any] | None:
    """Ends the open shadow tests of a candidate against `version_a` once everything that is known decides.

    Returns the pooled result where it decides, else None; it is published as that of any test. To be called after new
    pairs or votes.
    """
    pool = outcomes(store, version_a, version_b)
    waiting = [test for test in pool.tests if test.source == "shadow" and test.finished_at is None]
    found = pooled(store, config, category, pool)
    if found["verdict"] == "need more data":
        return None
    at = time.time() if now is None else now
    for test in waiting:
        if (test.version_a, test.version_b) == (version_a, version_b):
            ab_tests.finish(store, test.id, found, at)
            announce_ready(store, ab_tests.get(store, test.id), now=at)
    return found


def choices_of(votes: Sequence[AbVoteRow]) -> dict[VoteChoice, int]:
    """How often each choice was made."""
    counts: dict[VoteChoice, int] = {}
    for vote in votes:
        if vote.choice != "undo":
            counts[vote.choice] = counts.get(vote.choice, 0) + 1
    return counts
