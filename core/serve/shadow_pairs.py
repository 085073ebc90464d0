"""The store's side of shadow tests: which candidate a request is also asked, and what is kept of its answer.

A shadow pair is a test, so a prompt that any training of the category has learned from, or was watched by, is left
out: a model would be praised for what it remembers. The answers of the candidate are kept in the test alone; they never
become events, so nothing of them is trained on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.capture.incoming import Incoming, clean
from core.categories import Category, select_of
from core.config import Config
from core.paths import Home
from core.prove.ab import winner
from core.prove.evaluate import sampling_of
from core.prove.known import expected_of, is_right
from core.prove.pooled import settle
from core.release import promote, registry
from core.release.files import version_problem
from core.select.split import is_validation, prompt_hash
from core.serve.exchange import Exchange
from core.serve.shadow_asking import ShadowAnswer
from core.validate.registry import validator_for
from core.validate.validator import Validation, Validator
from storage import ab_tests, aliases, datasets, events, versions
from storage.db import open_store
from storage.rows import AbPairRow, AbTestRow, EventRow, VersionRow

_FINAL: Final = ("promote", "keep")
_SETTLE_EVERY: Final = 10
"""New pairs between two looks at the result; it is valid at every look, and a look reads the whole test."""
_NO_SECRET: Final = b"shadow"


@dataclass(frozen=True, slots=True)
class Plan:
    """A request that the candidate is asked too: `event` is what the user got, as it was recorded."""

    exchange: Exchange
    event: EventRow
    category: Category
    serving: VersionRow
    candidate: VersionRow


class ShadowPairs:
    """Plans and keeps shadow pairs. Used in one thread, with a store of its own."""

    def __init__(self, home: Home, config: Config, categories: Mapping[str, Category]) -> None:
        self._home, self._config, self._categories = home, config, categories
        self.store = open_store(home.store)
        self._validators: dict[str, Validator] = {}
        self._learned: dict[int, frozenset[str]] = {}

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    def wanted(self) -> frozenset[str]:
        """The categories that have a candidate."""
        named = {version.category for version in versions.list_versions(self.store) if version.number > 0}
        return frozenset(name for name in named & set(self._categories) if self._contenders(name))

    def plan(self, exchange: Exchange, event_id: int) -> Plan | None:
        """What to ask for a recorded request, or None where it tells nothing about a candidate."""
        own = self._categories.get(exchange.category)
        contenders = self._contenders(exchange.category) if own else None
        found = events.get_many(self.store, [event_id])
        if own is None or contenders is None or not found or found[0].verdict == "reject":
            return None
        serving, candidate = contenders
        if exchange.version_id != serving.id or self._was_learned(found[0], candidate):
            return None
        test = self._open_test(serving, candidate)
        if test is not None and any(pair.event_id == event_id for pair in ab_tests.pairs(self.store, test.id)):
            return None
        return Plan(exchange, found[0], own, serving, candidate)

    def keep(self, plan: Plan, answer: ShadowAnswer) -> None:
        """Scores both answers alike and adds the pair to the open shadow test of the two versions.

        Raises FinetuneError. An empty answer is an answer too: leaving it out would favour the candidate.
        """
        event, exchange = plan.event, plan.exchange
        validator = self._validator(plan.category)
        text = self._sanitised(exchange, answer.text)
        expected = expected_of(validator, event)

        def judged(response: str) -> Validation:
            return validator.validate(response, prompt=event.prompt, expected=expected)

        a, b = judged(event.response), judged(text)
        told = a.judged and b.judged
        with self.store.transaction():
            test = self._open_test(plan.serving, plan.candidate) or self._start(plan)
            known = ab_tests.pairs(self.store, test.id)
            position = known[-1].position + 1 if known else 0
            pair = AbPairRow(
                test_id=test.id,
                position=position,
                event_id=event.id,
                prompt=event.prompt,
                response_a=event.response,
                response_b=text,
                score_a=a.score,
                score_b=b.score,
                latency_a=exchange.seconds,
                latency_b=answer.seconds,
                tokens_a=exchange.tokens_out or 0,
                tokens_b=answer.tokens,
                winner=winner(a.score, b.score) if told else "tie",
                correct_a=is_right(validator, event.response, a, expected),
                correct_b=is_right(validator, text, b, expected),
                judged=told,
            )
            ab_tests.add_pairs(self.store, [pair])
        if position % _SETTLE_EVERY == _SETTLE_EVERY - 1:
            settle(self.store, self._config, plan.category, plan.serving.id, plan.candidate.id)

    def _contenders(self, category: str) -> tuple[VersionRow, VersionRow] | None:
        """What serves and the newest version that may be better, as long as no test of the two has decided."""
        name = promote.alias_name(self._config, category)
        rolled_back = {
            change.from_version for change in aliases.history(self.store, name) if change.action == "rollback"
        }
        for version in reversed(versions.list_versions(self.store, category)):
            if version.number == 0 or version.retired_at is not None or version.id in rolled_back:
                continue
            serving = promote.serving(self.store, self._config, category) or registry.base_of(
                self.store, category, version.base_model
            )
            if serving is None or serving.id == version.id or (serving.number and version.id < serving.id):
                continue
            if version_problem(self._home, version, thorough=False) is None and not self._is_decided(serving, version):
                return serving, version
        return None

    def _is_decided(self, serving: VersionRow, candidate: VersionRow) -> bool:
        tests = ab_tests.between(self.store, serving.id, candidate.id)
        results = [test.result for test in tests if test.version_b == candidate.id and test.result]
        return bool(results) and results[-1].get("verdict") in _FINAL

    def _open_test(self, serving: VersionRow, candidate: VersionRow) -> AbTestRow | None:
        tests = ab_tests.between(self.store, serving.id, candidate.id)
        return next(
            (
                test
                for test in reversed(tests)
                if test.source == "shadow" and test.finished_at is None and test.version_b == candidate.id
            ),
            None,
        )

    def _start(self, plan: Plan) -> AbTestRow:
        settings: dict[str, Any] = {"source": "shadow", "sampling": asdict(sampling_of(self._config.publish))}
        test_id = ab_tests.start(
            self.store,
            created_at=time.time(),
            category=plan.category.name,
            version_a=plan.serving.id,
            version_b=plan.candidate.id,
            seed=0,
            settings=settings,
            source="shadow",
        )
        return ab_tests.get(self.store, test_id)

    def _was_learned(self, event: EventRow, candidate: VersionRow) -> bool:
        """Whether a training has seen the prompt or the beginning of its chat, or chose its checkpoint by such."""
        own = select_of(self._categories[event.category], self._config)
        if is_validation(event.bucket, own.held_out_percent):
            return True
        if candidate.id not in self._learned:
            self._learned = {candidate.id: self._learned_prompts(candidate.category)}
        return not self._learned[candidate.id].isdisjoint((event.prompt_hash, _opening(event)))

    def _learned_prompts(self, category: str) -> frozenset[str]:
        """Of prompts and of the beginnings of chats; read once for a candidate, whose training is over."""
        found = {prompt_hash(text) for text in datasets.trained_without_event(self.store, category)}
        ids = sorted(datasets.trained_event_ids(self.store, category))
        for start in range(0, len(ids), 500):
            for event in events.get_many(self.store, ids[start : start + 500]):
                found |= {event.prompt_hash, _opening(event)}
        return frozenset(found)

    def _validator(self, own: Category) -> Validator:
        if own.name not in self._validators:
            self._validators[own.name] = validator_for(own)
        return self._validators[own.name]

    def _sanitised(self, exchange: Exchange, text: str) -> str:
        """The answer as it would be recorded, with the placeholders that its prompt has in the store."""
        if not text.strip():
            return ""
        capture = self._config.capture
        incoming = Incoming(
            prompt=exchange.prompt,
            response=text[: capture.max_chars],
            category=exchange.category,
            model=exchange.model or "candidate",
            system=exchange.system,
            history=[dict(turn) for turn in exchange.history],
        )
        cleaned = clean(incoming, max_chars=capture.max_chars, secret=_NO_SECRET if capture.sanitize else None)
        return cleaned.texts["response"]


def _opening(event: EventRow) -> str:
    """The hash of what the event's chat began with."""
    first = next((turn["content"] for turn in event.history if turn["role"] == "user"), event.prompt)
    return prompt_hash(str(first))
