"""An A/B test on stored prompts: both arms answer the same held-out prompts, alike but for the model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.backends.backend import Backend, Sampling
from core.categories import Category
from core.config import Ab, Config
from core.errors import FinetuneError
from core.paths import Home
from core.prove import stats
from core.prove.evaluate import Answer, Examiner, Progress, prompts_hash
from core.prove.forgetting import findings
from core.prove.verdict import figures_of, for_promotion, half_width, judge
from core.release.files import common_kind, gguf_path
from storage import ab_tests, versions
from storage.db import Store
from storage.rows import AbPairRow, AbTestRow, EventRow, VersionRow, Winner

TIE_POINTS = 0.5
_LARGEST_SEED = 2**63


def winner(score_a: float, score_b: float) -> Winner:
    """Who wins a pair by its scores (0-100); equal within half a point is a tie."""
    if abs(score_a - score_b) <= TIE_POINTS:
        return "tie"
    return "b" if score_b > score_a else "a"


def run_ab(
    store: Store,
    home: Home,
    backend: Backend,
    version_a: VersionRow,
    version_b: VersionRow,
    *,
    category: Category,
    events: Sequence[EventRow],
    sampling: Sampling,
    seed: int,
    config: Config,
    progress: Progress | None = None,
    again: bool = False,
) -> AbTestRow:
    """Both versions answer every prompt of `events`; returns the finished test.

    Answers are stored as they come. The same test that was broken off goes on where it was; one that is finished is
    returned as it stands, unless `again`. `progress(done, total)` may raise to break off. Raises FinetuneError without
    prompts, for one version against itself, and where the arms share no kind of GGUF file.
    """
    if version_a.id == version_b.id:
        raise FinetuneError(
            f"{version_a.name} cannot be compared with itself.",
            title="Nothing to compare",
            hint="Name another version to compare with.",
        )
    if not events:
        raise FinetuneError(
            f"{category.name} has no held-out prompts to compare on.",
            title="Nothing to compare on",
            hint="Record more outputs: about one prompt in five is kept for testing, once there are five.",
        )
    kind = common_kind(version_a, version_b)
    seed %= _LARGEST_SEED
    settings = {
        "sampling": {**asdict(sampling), "seed": None, "stop": list(sampling.stop)},
        "prompts": prompts_hash(events),
        "n": len(events),
        "kind": kind,
        "files": [version.gguf[kind]["sha256"] for version in (version_a, version_b)],
    }
    test = _open_test(store, version_a, version_b, settings, seed=seed, again=again)
    if test.result is not None:
        return test
    models = str(gguf_path(home, version_a, kind)), str(gguf_path(home, version_b, kind))
    examiner = Examiner(backend, category, sampling, seed=seed)
    known = {pair.position for pair in ab_tests.pairs(store, test.id)}
    for position, event in enumerate(events):
        if position not in known:
            ab_tests.add_pairs(store, [_ask_both(examiner, models, test.id, position, event)])
        if progress is not None:
            progress(position + 1, len(events))
    pairs = ab_tests.pairs(store, test.id)
    forgotten = forgotten_by(store, version_b.id)
    result = result_of(pairs, category.success_score, config.ab, seed=seed, forgotten=forgotten)
    names = {"name_a": version_a.name, "name_b": version_b.name, "kind": kind}
    names["summary"] = summary(result, version_a.name, version_b.name)
    ab_tests.finish(store, test.id, {**result, **names}, time.time())
    return ab_tests.get(store, test.id)


def _open_test(
    store: Store, a: VersionRow, b: VersionRow, settings: Mapping[str, Any], *, seed: int, again: bool
) -> AbTestRow:
    for version in (a, b):
        versions.get(store, version.id)
    latest = ab_tests.latest_between(store, a.id, b.id)
    same = latest is not None and latest.seed == seed and dict(latest.settings) == settings
    if latest is not None and same and (latest.result is None or not again):
        return latest
    test_id = ab_tests.start(
        store,
        created_at=time.time(),
        category=b.category,
        version_a=a.id,
        version_b=b.id,
        seed=seed,
        settings=settings,
    )
    return ab_tests.get(store, test_id)


def _ask_both(examiner: Examiner, models: tuple[str, str], test_id: int, position: int, event: EventRow) -> AbPairRow:
    """Which arm answers first alternates, so that a warm cache or a busy moment favours neither."""
    answers: dict[int, Answer] = {}
    for arm in (0, 1) if position % 2 == 0 else (1, 0):
        answers[arm] = examiner.ask(models[arm], event)
    a, b = answers[0], answers[1]
    return AbPairRow(
        test_id=test_id,
        position=position,
        event_id=event.id,
        prompt=event.prompt,
        response_a=a.text,
        response_b=b.text,
        score_a=a.score,
        score_b=b.score,
        latency_a=a.seconds,
        latency_b=b.seconds,
        tokens_a=a.tokens,
        tokens_b=b.tokens,
        winner=winner(a.score, b.score) if a.judged and b.judged else "tie",
        confidence_a=a.confidence,
        confidence_b=b.confidence,
        correct_a=a.correct,
        correct_b=b.correct,
        judged=a.judged and b.judged,
    )


def forgotten_by(store: Store, version_id: int) -> tuple[str, ...]:
    """What a version has forgotten in its training, each in a sentence; empty also where that was not measured."""
    return tuple(found.text for found in findings(versions.get(store, version_id).metrics) if found.forgot)


def result_of(
    pairs: Sequence[AbPairRow],
    success_score: float,
    criteria: Ab,
    *,
    seed: int | None,
    forgotten: Sequence[str] = (),
    winners: Sequence[Winner | None] | None = None,
) -> dict[str, Any]:
    """The stored result of a test: figures, intervals and verdict, as JSON values.

    `interval` is the confidence sequence of `win_rate` (a tie counts one half); `difference` is the mean of score b
    minus score a over the judged pairs, with Student's t interval and, beside it, a bootstrap one, which needs a seed
    and is None without. Scores, pass rates and what follows from them are None where no pair is judged. `forgotten` and
    `winners` are those of `judge` and `figures_of`.
    """
    figures = figures_of(pairs, success_score, winners=winners)
    verdict = judge(figures, criteria, forgotten)
    differences = [pair.score_b - pair.score_a for pair in pairs if pair.judged]
    level = 1 / criteria.evidence
    scored = figures.judged > 0 or not pairs
    return {
        "n": figures.n,
        "wins": figures.wins,
        "losses": figures.losses,
        "ties": figures.ties,
        "win_rate": figures.win_rate,
        "interval": list(stats.win_rate_interval(figures.wins, figures.losses, figures.ties, alpha=level)),
        "wilson": list(stats.wilson(figures.wins + figures.ties / 2, figures.n)),
        "sign_test": stats.sign_test(figures.wins, figures.losses),
        "judged": figures.judged,
        "not_judged": figures.unjudged,
        "score_a": figures.score_a if scored else None,
        "score_b": figures.score_b if scored else None,
        "difference": figures.score_b - figures.score_a if scored else None,
        "difference_interval": _bounded(stats.mean_interval(differences)),
        "difference_bootstrap": None if seed is None else _bounded(stats.bootstrap_interval(differences, seed=seed)),
        "success_a": figures.success_a if scored else None,
        "success_b": figures.success_b if scored else None,
        "passes_only_a": figures.passes_only_a,
        "passes_only_b": figures.passes_only_b,
        "mcnemar": stats.sign_test(figures.passes_only_a, figures.passes_only_b),
        "latency_ratio": figures.latency_ratio,
        "length_ratio": figures.length_ratio,
        "length_adjusted": figures.length_adjusted,
        "confidence_a": _mean([pair.confidence_a for pair in pairs]),
        "confidence_b": _mean([pair.confidence_b for pair in pairs]),
        "accuracy_a": _mean([pair.correct_a for pair in pairs]),
        "accuracy_b": _mean([pair.correct_b for pair in pairs]),
        "known_answers": sum(pair.correct_a is not None for pair in pairs),
        "forgotten": list(forgotten),
        "evidence": for_promotion(figures.wins, figures.losses),
        "evidence_against": stats.evidence(figures.losses, figures.wins),
        "verdict": verdict.decision,
        "reasons": list(verdict.reasons),
        "more": verdict.more,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _bounded(interval: tuple[float, float]) -> list[float]:
    """Differences of scores lie in −100 … 100, whatever a formula says."""
    return [max(-100.0, interval[0]), min(100.0, interval[1])]


def summary(result: Mapping[str, Any], name_a: str, name_b: str) -> str:
    """The result in one sentence."""
    more = f" (about {result['more']:,} more tests)" if result.get("more") else ""
    scores = ""
    if result.get("score_a") is not None:
        scores = (
            f", score {result['score_a']:.1f} → {result['score_b']:.1f}, success {result['success_a']:.0%} → "
            f"{result['success_b']:.0%}"
        )
    if result.get("not_judged"):
        scores += f", {result['not_judged']} not judged"
    return (
        f"{name_b} against {name_a}: wins {result['win_rate']:.0%} ± {100 * half_width(result['interval']):.0f} of "
        f"{result['n']}{scores}. Verdict: {result['verdict']}{more}."
    )
