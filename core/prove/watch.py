"""Production after a promotion: what the new version answers against what the one before it answered.

Each new answer is paired at random with one of the period before, none twice. If the new version is as good as the one
before, and what it is asked is alike, the answers of both are exchangeable and the new one wins a decisive pair with
probability one half, whatever the answers to the others were. The evidence of `core.prove.stats` against that may be
looked at after every answer: a version no worse than the one before is ever called worse with probability at most
1 / `ab.evidence`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, Literal

from core.categories import loop_of
from core.config import Config
from core.errors import ConflictError, FinetuneError
from core.prove import stats
from core.prove.pairing import Tally, is_judged, paired, tally, worth
from core.prove.verdict import odds
from core.release.promote import alias_name
from core.release.registry import base_of
from storage import aliases, production, versions
from storage.db import Store
from storage.production import Served, ServedAnswer
from storage.rows import AliasChange, VersionRow

if TYPE_CHECKING:
    from core.loop import LearningLoop

Judgment = Literal["worse", "better", "no difference yet", "nothing to watch"]
LEAST_PAIRS: Final = 20
MOST_PAIRS: Final = 2_000
WHO: Final = "finetune-tui"


@dataclass(frozen=True, slots=True)
class Side:
    """What one version answered in production. Rates 0-1 with Wilson's interval, scores 0-100 with Student's t.

    `answers` counts those that have a score or a verdict, `judged` those that a person judged.
    """

    version: str
    answers: int
    judged: int
    success: float | None
    success_interval: tuple[float, float]
    score: float | None
    score_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Watch:
    """How the version that serves a category does in production; times are seconds since the epoch.

    `change` is the change of the alias that put it there. `more` estimates how many more answers a verdict needs, None
    where there is one or none can be foreseen. `automatic` tells whether a rollback may follow by itself: not where a
    person has taken a rollback back. `why` says all of it in words.
    """

    category: str
    verdict: Judgment
    why: str
    change: int | None = None
    since: float | None = None
    new: Side | None = None
    old: Side | None = None
    tally: Tally = field(default_factory=Tally)
    evidence_worse: float = 1.0
    evidence_better: float = 1.0
    more: int | None = None
    automatic: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def evidence(self) -> dict[str, Any]:
        """What is kept with a rollback that follows from it."""
        kept: dict[str, Any] = {"summary": self.why, "verdict": self.verdict, "watched": self.change}
        kept |= {"evidence": self.evidence_worse, "pairs": self.tally.pairs, **asdict(self.tally)}
        for name, side in (("before", self.old), ("after", self.new)):
            if side is not None:
                kept |= {f"success_{name}": side.success, f"score_{name}": side.score, f"answers_{name}": side.answers}
        return kept


@dataclass(frozen=True, slots=True)
class Acted:
    """What a look led to: `change` is the rollback that was made, `problem` why one could not be made."""

    watch: Watch
    change: AliasChange | None = None
    problem: str = ""


def watch(store: Store, config: Config, category: str, *, success_score: float = 70.0, now: float) -> Watch:
    """How the version that serves a category does since it was put there, against the one before."""
    name = alias_name(config, category)
    history = aliases.history(store, name)
    if not history:
        return _nothing(category, "nothing was promoted yet")
    change = history[0]
    current = versions.get(store, change.to_version)
    if not _is_forward(history):
        return _nothing(category, f"{current.name} was put back, and serves as it did before")
    before = _before(store, change, current)
    if before is None:
        return _nothing(category, f"nothing served before {current.name}")
    since = change.at
    if since > now:  # the clock was set back since
        since = min(current.created_at, now)
    below = _held_out_below(store, config, category)
    new = production.first_answers(
        store, Served(category, current.id, (current.name,), since=since, held_out_below=below), MOST_PAIRS
    )
    old = production.last_answers(
        store, Served(category, before.id, _names(before, name), until=change.at, held_out_below=below), MOST_PAIRS
    )
    found = tally(paired(new, old, seed=f"{name}:{change.id}"), new, old)
    worse, better = stats.evidence(found.losses, found.wins), stats.evidence(found.wins, found.losses)
    verdict, more = _verdict(found, worse, better, config.ab.evidence)
    sides = _side(current, new, success_score), _side(before, old, success_score)
    automatic = change.action == "promote"
    return Watch(
        category=category,
        verdict=verdict,
        why=_why(verdict, found, sides, max(worse, better), more, automatic=automatic),
        change=change.id,
        since=change.at,
        new=sides[0],
        old=sides[1],
        tally=found,
        evidence_worse=worse,
        evidence_better=better,
        more=more,
        automatic=automatic,
    )


def watch_all(loop: LearningLoop, *, now: float | None = None, without: Collection[str] = ()) -> list[Acted]:
    """Looks at every category that has an alias, but for those in `without`, and rolls back what does worse.

    A rollback happens once for a promotion, however many processes look and wherever one is killed: it is one
    transaction, which holds only while the promotion is the newest change of the alias. `loop.auto_rollback`, also of a
    category alone, switches it off. What stands in the way of one rollback is told and does not keep back the others.
    """
    now = time.time() if now is None else now
    return [
        _look(loop, alias.category, now)
        for alias in aliases.list_aliases(loop.store)
        if alias.category in loop.categories and alias.category not in without
    ]


def _look(loop: LearningLoop, category: str, now: float) -> Acted:
    own = loop.categories[category]
    found = watch(loop.store, loop.config, category, success_score=own.success_score, now=now)
    if found.verdict != "worse" or not found.automatic or not loop_of(own, loop.config).auto_rollback:
        return Acted(found)
    try:
        done = loop.rollback(category, who=WHO, why=found.why, evidence=found.evidence(), after=found.change)
    except ConflictError:  # another process was faster, or nothing is left to go back to
        return Acted(found)
    except FinetuneError as error:
        return Acted(found, problem=f"{error.message} {error.hint}".strip())
    return Acted(found, done)


def _is_forward(history: Sequence[AliasChange]) -> bool:
    """Whether the newest change put a version there that had not served before: a promotion, or the undo of a rollback.

    `history` is newest first.
    """
    change = history[0]
    if change.action != "undo":
        return change.action == "promote"
    undone = next((each for each in history if each.id == change.undoes), None)
    return undone is not None and undone.action == "rollback"


def _before(store: Store, change: AliasChange, current: VersionRow) -> VersionRow | None:
    if change.from_version is not None:
        return versions.get(store, change.from_version)
    base = base_of(store, current.category, current.base_model)
    return None if base is None or base.id == current.id else base


def _names(version: VersionRow, alias: str) -> tuple[str, ...]:
    """The names under which events know a version; before the first promotion the alias itself stands for the base."""
    return (version.name, version.base_model, alias) if version.number == 0 else (version.name,)


def _held_out_below(store: Store, config: Config, category: str) -> int:
    """Where the clean-up has removed events, only those that it never removes: it takes the worst of the old first."""
    cleaned = production.has_at_least(store, category, config.capture.retention)
    return config.select.held_out_percent if cleaned else 100


def _verdict(found: Tally, worse: float, better: float, enough: float) -> tuple[Judgment, int | None]:
    if found.pairs >= LEAST_PAIRS and worse >= enough:
        return "worse", None
    if found.pairs >= LEAST_PAIRS and better >= enough:
        return "better", None
    return "no difference yet", _more(found, enough)


def _more(found: Tally, enough: float) -> int | None:
    """How many more answers, at the rates seen so far, bring a verdict; None where more than `MOST_PAIRS` would."""
    if found.pairs == 0:
        return LEAST_PAIRS

    def decided(pairs: int) -> bool:
        wins, losses = (round(count * pairs / found.pairs) for count in (found.wins, found.losses))
        return stats.evidence(max(wins, losses), min(wins, losses)) >= enough

    if found.pairs >= MOST_PAIRS or not decided(MOST_PAIRS):
        return None
    return max(stats.smallest(decided, found.pairs, MOST_PAIRS), LEAST_PAIRS) - found.pairs


def _side(version: VersionRow, answers: Sequence[ServedAnswer], success_score: float) -> Side:
    values = [value for answer in answers if (value := worth(answer)) is not None]
    scores = [answer.score for answer in answers if answer.score is not None]
    passed = sum(value >= success_score for value in values)
    low, high = stats.mean_interval(scores)
    return Side(
        version=version.name,
        answers=len(values),
        judged=sum(map(is_judged, answers)),
        success=passed / len(values) if values else None,
        success_interval=stats.wilson(passed, len(values)),
        score=fmean(scores) if scores else None,
        score_interval=(max(0.0, low), min(100.0, high)),
    )


def _nothing(category: str, why: str) -> Watch:
    return Watch(category, "nothing to watch", f"{category}: {why}.")


def _why(
    verdict: Judgment, found: Tally, sides: tuple[Side, Side], evidence: float, more: int | None, *, automatic: bool
) -> str:
    new, old = sides
    counts = (
        f"of {found.pairs:,} answers compared, {found.wins:,} are better, {found.losses:,} worse and {found.ties:,} "
        "as good"
    )
    if new.success is not None and old.success is not None:
        counts += f"; success {old.success:.0%} → {new.success:.0%}"
    if verdict in ("worse", "better"):
        kept = "" if automatic or verdict == "better" else " It stays, since a person took the rollback back."
        return f"{new.version} does {verdict} in production than {old.version} ({odds(evidence)}): {counts}.{kept}"
    if found.pairs == 0:
        lacks = old.version if not old.answers else new.version
        return (
            f"{new.version} cannot be compared with {old.version} yet: no scored or judged answer of {lacks} is known."
        )
    if new.answers > old.answers:
        return (
            f"{new.version} against {old.version}: {counts}. No difference; all answers of {old.version} are used up."
        )
    plan = f"about {more:,} more answers should tell" if more else "if there is one, it is small"
    return f"{new.version} against {old.version}: {counts}. No difference yet; {plan}."
