from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from recording_kit import AT, event_count, exchange, in_store, journal_of, record
from selection_kit import add_event, trained
from selection_kit import chosen as select
from versions_kit import add_version

from core.categories import load_categories
from core.config import Config, Serve
from core.errors import BackendError
from core.paths import Home
from core.release.promote import promote, rollback
from core.select.split import bucket, is_held_out, is_validation, prompt_hash
from core.serve import shadow as shadow_module
from core.serve.exchange import Exchange
from core.serve.shadow import Shadow, is_sampled
from core.serve.traffic import Traffic
from core.serve.upstream import Reply
from storage import ab_tests, events
from storage.db import Store
from storage.rows import AbPairRow, AbTestRow, VersionRow

GOOD = "erDiagram\n    customer ||--o{ order : places\n    customer {\n        int id PK\n    }\n    order {\n        int id PK\n    }"  # noqa: E501
POOR = "I do not know."
CONFIG = Config(serve=Serve(shadow_share=1.0))


@dataclass
class Candidate:
    """An upstream that answers as a test wants; it counts requests that were given up before their end."""

    name: str = "embedded"
    text: str = GOOD
    status: int = 200
    hold: asyncio.Event | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    given_up: int = 0
    loaded: list[str] = field(default_factory=list)
    evicts: str = ""

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        if path == "/api/ps":
            return self._reply([{"models": [{"name": f"{name}:latest"} for name in self.loaded]}])
        asked = json.loads(body)
        self.asked.append({"path": path, **asked})
        if path == "/api/generate":
            self.loaded.append(asked["model"])
            return self._reply([{"done": True}])
        if self.status != 200:
            return self._reply([{"error": "model not found"}])
        if self.evicts in self.loaded:
            self.loaded.remove(self.evicts)
        words = [{"message": {"role": "assistant", "content": part}, "done": False} for part in self._pieces()]
        return self._reply([*words, {"message": {"content": ""}, "done": True, "eval_count": 11}])

    def _pieces(self) -> list[str]:
        return [self.text[start : start + 7] for start in range(0, len(self.text), 7)]

    def _reply(self, lines: list[dict[str, Any]]) -> Reply:
        return Reply(self.status, {}, self._body(lines))

    async def _body(self, lines: list[dict[str, Any]]) -> AsyncIterator[bytes]:
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        whole = False
        try:
            yield text[:20]
            if self.hold is not None:
                await self.hold.wait()
            yield text[20:]
            whole = True
        finally:
            self.given_up += not whole

    async def close(self) -> None:
        pass


@dataclass
class Bench:
    """A store with a base that serves and a candidate, and a shadow over them."""

    home: Home
    base: VersionRow
    candidate: VersionRow
    upstream: Candidate
    traffic: Traffic
    shadow: Shadow
    said: list[str]

    def recorded(self, number: int = 0, **over: Any) -> tuple[Exchange, int]:
        prompt = over.pop("prompt", prompts(number + 1)[number])
        told = {
            "version_id": self.base.id,
            "version_name": self.base.name,
            "tokens_out": 30,
            "prompt": prompt,
            "response": f"erDiagram\n    customer ||--o{{ order : x_{number}",
        }
        one = exchange(number, **{**told, **over})
        kept: list[tuple[Exchange, int]] = []
        record(self.home, journal_of(self.home, [one]), on_recorded=lambda *each: kept.append(each))
        return kept[0]

    def tests(self) -> list[AbTestRow]:
        found: list[AbTestRow] = in_store(self.home, ab_tests.list_tests)
        return found

    def pairs(self) -> list[AbPairRow]:
        return [
            pair for test in self.tests() for pair in in_store(self.home, lambda s, t=test: ab_tests.pairs(s, t.id))
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20.0):
            while not holds():
                await asyncio.sleep(0.005)

    async def reaches(self, count: Callable[[], int], wanted: int) -> None:
        await self.until(lambda: count() == wanted)

    async def work(self, offered: list[tuple[Exchange, int]]) -> None:
        """Offers requests and lets the shadow work until it is idle."""
        for one in offered:
            self.shadow.offer(*one)
        self.shadow.start()
        await self.until(lambda: not self.shadow._queue)
        await self.shadow._in_thread(lambda pairs: None)
        await self.until(lambda: self.shadow._asking is None)
        await asyncio.sleep(0.05)
        await self.shadow.close()


def prompts(count: int, *, watched: bool = False) -> list[str]:
    """Prompts that do not watch a training, or that do."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        text = f"ER diagram for shop {number}: customer, order."
        place = bucket(prompt_hash(text))
        if is_validation(place) is watched and not is_held_out(place):
            found.append(text)
        number += 1
    return found


@pytest.fixture
def bench(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(shadow_module, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(shadow_module, "_LOOK_SECONDS", 0.002)
    return made(home, store)


def made(home: Home, store: Store, config: Config = CONFIG) -> Bench:
    base, candidate = add_version(store, home, 0), add_version(store, home, 1)
    upstream, traffic, said = Candidate(), Traffic(), list[str]()
    shadow = Shadow(home, config, load_categories(home), upstream, traffic, say=said.append)
    return Bench(home, base, candidate, upstream, traffic, shadow, said)


async def test_both_answers_are_scored_alike_and_kept_in_a_test(bench: Bench) -> None:
    one, event_id = bench.recorded(
        system="Draw.",
        history=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
        sampling={"temperature": 0.1},
        response=POOR,
    )
    await bench.work([(one, event_id)])
    assert bench.upstream.asked == [
        {
            "path": "/api/chat",
            "model": bench.candidate.name,
            "messages": [
                {"role": "system", "content": "Draw."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi"},
                {"role": "user", "content": one.prompt},
            ],
            "stream": True,
            "options": {"temperature": 0.1},
        }
    ]
    (test,) = bench.tests()
    assert (test.source, test.version_a, test.version_b) == ("shadow", bench.base.id, bench.candidate.id)
    assert (test.settings["source"], test.result) == ("shadow", None)
    (pair,) = bench.pairs()
    assert (pair.event_id, pair.prompt, pair.response_a, pair.response_b) == (event_id, one.prompt, POOR, GOOD)
    assert (pair.winner, pair.judged, pair.latency_a, pair.tokens_a, pair.tokens_b) == ("b", True, 1.5, 30, 11)
    assert pair.score_b > pair.score_a
    assert bench.shadow.figures() == {"done": 1, "waiting": 0, "dropped": 0, "failed": 0}


async def test_what_the_candidate_says_is_trained_on_by_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.serve.shadow_pairs._SETTLE_EVERY", 2)  # a look that decides nothing yet
    await bench.work([bench.recorded(0), bench.recorded(1)])
    assert len(bench.pairs()) == 2
    assert [test.id for test in bench.tests()] == [1]
    assert event_count(bench.home) == 2
    assert in_store(bench.home, lambda store: store.value("SELECT count(*) FROM pairs")) == 0
    assert all(row.response != GOOD for row in in_store(bench.home, lambda s: events.get_many(s, [1, 2])))


async def test_the_texts_of_a_pair_are_sanitised_alike(bench: Bench) -> None:
    one = bench.recorded(prompt="Draw for ann@example.com, not for bob@example.com.", response="bob@example.com")
    bench.upstream.text = "Done, bob@example.com and carl@example.com."
    await bench.work([one])
    assert "ann@example.com" in bench.upstream.asked[0]["messages"][0]["content"]  # both arms are asked the same
    (pair,) = bench.pairs()
    assert pair.prompt == "Draw for [EMAIL_1], not for [EMAIL_2]."
    assert (pair.response_a, pair.response_b) == ("[EMAIL_2]", "Done, [EMAIL_2] and [EMAIL_3].")


async def test_an_empty_answer_is_a_lost_pair_not_a_missing_one(bench: Bench) -> None:
    bench.upstream.text = ""
    await bench.work([bench.recorded(response=GOOD)])
    (pair,) = bench.pairs()
    assert (pair.response_b, pair.winner) == ("", "a")


@pytest.mark.parametrize(
    "over",
    [
        {"tools": True},
        {"images": True},
        {"shaped": True},
        {"complete": False},
        {"version_id": None},
        {"prompt": "x" * 300_000},
    ],
)
def test_what_cannot_be_asked_again_alike_is_not_taken(bench: Bench, over: dict[str, Any]) -> None:
    one = exchange(1, version_id=bench.base.id)
    bench.shadow.offer(replace(one, **over), 1)
    assert not bench.shadow._queue
    bench.shadow.offer(one, 1)
    assert len(bench.shadow._queue) == 1


def test_a_share_is_sampled_by_the_id_alone() -> None:
    ids = [f"{number:032x}" for number in range(5_000)]
    taken = {each for each in ids if is_sampled(each, 0.2)}
    assert 0.18 < len(taken) / len(ids) < 0.22
    assert taken == {each for each in ids if is_sampled(each, 0.2)}
    assert taken < {each for each in ids if is_sampled(each, 0.5)}
    assert not any(is_sampled(each, 0.0) for each in ids)
    assert all(is_sampled(each, 1.0) for each in ids)


def test_a_full_queue_drops_the_newest_and_counts(home: Home, store: Store) -> None:
    bench = made(home, store, Config(serve=Serve(shadow_share=1.0, shadow_queue=3)))
    offered = [exchange(number, version_id=bench.base.id) for number in range(5)]
    for one in offered:
        bench.shadow.offer(one, 1)
    assert [job.exchange for job in bench.shadow._queue] == offered[:3]
    assert bench.shadow.dropped == 2


async def test_production_takes_the_place_of_a_job_at_once_and_the_job_comes_back_once(bench: Bench) -> None:
    bench.upstream.hold = asyncio.Event()
    bench.shadow.offer(*bench.recorded(0))
    bench.shadow.start()
    for interrupted in (1, 2):
        await bench.reaches(lambda: len(bench.upstream.asked), interrupted)
        bench.traffic.begin()
        await bench.reaches(lambda: bench.upstream.given_up, interrupted)
        await asyncio.sleep(0.02)
        assert len(bench.upstream.asked) == interrupted  # nothing is asked while production is
        assert len(bench.shadow._queue) == (1 if interrupted == 1 else 0)
        bench.traffic.end()
    assert bench.shadow.dropped == 1
    bench.upstream.hold.set()
    bench.shadow.offer(*bench.recorded(1))
    await bench.until(lambda: bench.shadow.done == 1)
    await bench.shadow.close()
    assert len(bench.pairs()) == 1


async def test_nothing_begins_until_production_has_been_quiet_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_module, "QUIET_SECONDS", 1e9)
    bench.shadow.offer(*bench.recorded(0))
    bench.shadow.start()
    await bench.until(lambda: bench.shadow._wanted is not None)
    await asyncio.sleep(0.05)
    assert bench.upstream.asked == []
    monkeypatch.setattr(shadow_module, "QUIET_SECONDS", 0.0)
    await bench.until(lambda: bench.shadow.done == 1)
    await bench.shadow.close()


async def test_closing_gives_up_what_is_going_on(bench: Bench) -> None:
    bench.upstream.hold = asyncio.Event()
    bench.shadow.offer(*bench.recorded(0))
    bench.shadow.start()
    await bench.until(lambda: len(bench.upstream.asked) == 1)
    await bench.shadow.close()
    await asyncio.sleep(0)
    assert bench.upstream.given_up == 1
    assert bench.traffic.on_begin == []
    assert bench.pairs() == []


async def test_a_candidate_that_cannot_be_asked_is_left_alone_for_a_while(bench: Bench) -> None:
    bench.upstream.status = 404
    await bench.work([bench.recorded(0), bench.recorded(1)])
    assert len(bench.upstream.asked) == 1
    assert bench.shadow.failed == 1
    assert bench.candidate.name in bench.said[0]


async def test_the_pauses_grow_until_it_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "_FIRST_PAUSE_SECONDS", 0.1)
    offered = [bench.recorded(number) for number in range(4)]
    bench.upstream.status = 404
    bench.shadow.start()
    pauses: list[float] = []
    for number, one in enumerate(offered[:2], 1):
        bench.shadow.offer(*one)
        await bench.until(lambda wanted=number: bench.shadow.failed == wanted)
        pauses.append(bench.shadow._paused[bench.candidate.id] - time.monotonic())
        await asyncio.sleep(0.25)
    assert pauses[0] <= 0.1 < pauses[1] <= 0.2
    bench.upstream.status = 200
    bench.shadow.offer(*offered[2])
    await bench.until(lambda: bench.shadow.done == 1)
    await bench.shadow.close()


async def test_a_candidate_is_made_ready_once(bench: Bench) -> None:
    made_ready: list[str] = []
    bench.shadow._prepare = lambda store, version: made_ready.append(version.name)
    await bench.work([bench.recorded(0), bench.recorded(1)])
    assert made_ready == [bench.candidate.name]
    assert len(bench.pairs()) == 2


async def test_a_candidate_that_cannot_be_made_ready_is_asked_nothing(bench: Bench) -> None:
    def refuse(store: Store, version: VersionRow) -> None:
        raise BackendError("The disk is full.")

    bench.shadow._prepare = refuse
    await bench.work([bench.recorded(0), bench.recorded(1)])
    assert bench.upstream.asked == []
    assert (bench.shadow.failed, len(bench.said)) == (1, 1)
    assert "The disk is full." in bench.said[0]


async def test_an_upstream_that_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*arguments: object) -> Reply:
        raise BackendError("Ollama does not answer.")

    monkeypatch.setattr(bench.upstream, "request", gone)
    await bench.work([bench.recorded(0)])
    assert (bench.shadow.failed, bench.pairs()) == (1, [])


async def test_a_candidate_that_pushes_production_out_of_memory_makes_room_again(bench: Bench) -> None:
    bench.upstream.name, bench.upstream.evicts = "ollama", bench.base.name
    bench.upstream.loaded = [bench.base.name]
    await bench.work([bench.recorded(0), bench.recorded(1)])
    assert [(one["path"], one["model"]) for one in bench.upstream.asked] == [
        ("/api/chat", bench.candidate.name),
        ("/api/generate", bench.base.name),
    ]
    assert bench.upstream.loaded == [bench.base.name]
    assert len(bench.pairs()) == 1
    assert "memory" in bench.said[0]


async def test_one_request_is_asked_once(bench: Bench) -> None:
    one, event_id = bench.recorded(0)
    await bench.work([(one, event_id), (replace(one, id="again"), event_id)])
    assert len(bench.pairs()) == 1


async def test_a_prompt_that_was_learned_or_watched_tests_nobody(bench: Bench, store: Store) -> None:
    learned, later, watched = prompts(30)[29], prompts(31)[30], prompts(1, watched=True)[0]
    for text in (*prompts(25)[5:], learned):
        add_event(store, text)
    trained(store, select(store, bench.home, load_categories(bench.home)["erd"]))
    offered = [
        bench.recorded(0, prompt=learned),
        bench.recorded(1, prompt=watched),
        bench.recorded(2, prompt="And in blue?", history=[{"role": "user", "content": learned}]),
        bench.recorded(3, prompt=later),
    ]
    await bench.work(offered)
    assert [pair.prompt for pair in bench.pairs()] == [later]


async def test_who_is_the_candidate(bench: Bench, store: Store) -> None:
    def answered() -> str:
        return bench.upstream.asked[-1]["model"] if bench.upstream.asked else ""

    def again() -> None:
        bench.shadow = Shadow(bench.home, CONFIG, load_categories(bench.home), bench.upstream, bench.traffic)

    second = add_version(store, bench.home, 2)
    add_version(store, bench.home, 3, passed=False)
    await bench.work([bench.recorded(0)])
    assert answered() == second.name  # the newest that is proved
    promote(store, bench.home, CONFIG, second.id, who="me", why="", evidence={}, now=AT)
    bench.upstream.asked.clear()
    again()
    await bench.work([bench.recorded(1), bench.recorded(2, version_id=second.id, version_name=second.name)])
    assert answered() == ""  # nothing is newer than what serves, and the base serves no more
    rollback(store, bench.home, CONFIG, "erd", who="me", why="", now=AT)
    again()
    await bench.work([bench.recorded(3)])
    assert answered() == bench.candidate.name  # what was rolled back is no candidate any more


async def test_a_test_that_has_decided_is_over(bench: Bench, store: Store) -> None:
    test = ab_tests.start(
        store, created_at=AT, category="erd", version_a=bench.base.id, version_b=bench.candidate.id, seed=0, settings={}
    )
    ab_tests.finish(store, test, {"verdict": "keep"}, AT)
    await bench.work([bench.recorded(0)])
    assert bench.upstream.asked == []
    assert bench.shadow._wanted == frozenset()


async def test_the_test_is_settled_once_it_decides(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("core.serve.shadow_pairs.settle", lambda store, config, own, a, b: looks.append(b))
    monkeypatch.setattr("core.serve.shadow_pairs._SETTLE_EVERY", 2)
    await bench.work([bench.recorded(number) for number in range(5)])
    assert looks == [bench.candidate.id] * 2
    assert len(bench.pairs()) == 5
