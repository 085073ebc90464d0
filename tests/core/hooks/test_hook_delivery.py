"""At least once, in order, by one deliverer at a time, and none waits for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hooks_kit import Configure, Receiver, python

from core.errors import ConfigError
from core.hooks.callbacks import Callbacks
from core.hooks.delivery import deliver_due, pause_after
from core.hooks.message import Delivery
from core.paths import Home
from storage import outbox
from storage.db import Store, open_store

ROOT = Path(__file__).parents[3]
LATER = 4e9
"""After any configuration was written, so that every event counts as new."""

Happen = Callable[..., int]


@pytest.fixture
def happen(store: Store) -> Happen:
    def publish(name: outbox.EventName = "fine_tuning.completed", category: str = "erd") -> int:
        return outbox.publish(store, name, category, {"run_id": 3}, now=LATER)

    return publish


def states(done: list[Delivery]) -> list[tuple[str, int, int, str]]:
    return [(one.hook, one.number, one.attempts, one.state) for one in done]


def web(name: str, receiver: Receiver, more: str = "") -> str:
    return f"[hooks.{name}]\non = '*'\nurl = '{receiver.url}/{name}'\n{more}\n"


def test_each_event_is_delivered_once_and_in_order(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver) + f"[hooks.b]\non = ['fine_tuning.failed']\nurl = '{receiver.url}/b'")
    assert deliver_due(store, home) == []
    for name in ("fine_tuning.completed", "fine_tuning.failed", "fine_tuning.promoted"):
        happen(name)
    seen: list[Delivery] = []
    done = deliver_due(store, home, on_delivery=seen.append)
    assert done == seen
    assert [each[1:] for each in states(done) if each[0] == "a"] == [(n, 1, "delivered") for n in (1, 2, 3)]
    assert [each[1:] for each in states(done) if each[0] == "b"] == [(2, 1, "delivered")]
    assert [request.told["number"] for request in receiver.requests if request.path == "/a"] == [1, 2, 3]
    assert deliver_due(store, home) == []
    assert len(receiver.requests) == 4


def test_what_was_before_the_hook_is_no_business_of_it(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    outbox.publish(store, "fine_tuning.completed", "erd", {}, now=time.time() - 3_600.0)
    configure(web("a", receiver))
    assert deliver_due(store, home) == []
    configure("")
    assert deliver_due(store, home) == []
    assert store.value("SELECT count(*) FROM hooks") == 0
    happen()
    assert receiver.requests == []


def test_a_failure_is_tried_again_later_and_what_follows_waits(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver, "tries = 4"))
    happen(), happen()
    receiver.status = 500
    now = 1_000.0
    attempts: list[float] = []
    while len(attempts) < 4:
        (done, *more) = deliver_due(store, home, now=now)
        attempts.append(now)
        if len(attempts) < 4:
            assert (done.number, done.attempts, done.state, more) == (1, len(attempts), "due", [])
            assert done.next_at == now + pause_after(len(attempts)) and "500" in done.said
            assert deliver_due(store, home, now=done.next_at - 0.1) == []
            now = done.next_at
        else:
            assert (done.state, done.next_at) == ("given up", None)
            assert [(each.number, each.attempts, each.state) for each in more] == [(2, 1, "due")]
    assert attempts == [1_000.0, 1_030.0, 1_090.0, 1_210.0]
    assert receiver.numbers == [1, 1, 1, 1, 2]
    assert len({request.headers["Idempotency-Key"] for request in receiver.requests}) == 2
    receiver.status = 200
    assert states(deliver_due(store, home, now=2_000.0)) == [("a", 2, 2, "delivered")]
    outbox.renew(store, "a")
    assert states(deliver_due(store, home, now=2_000.0)) == [("a", 1, 1, "delivered")]


def test_the_pauses_double_up_to_an_hour() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 7, 8, 9, 100)] == [30.0, 60.0, 120.0, 1_920.0, 3_600.0, 3_600.0, 3_600.0]


def test_a_clock_that_was_set_back_keeps_no_hook_waiting(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver))
    happen()
    receiver.status = 500
    deliver_due(store, home, now=1e9)
    receiver.status = 200
    assert states(deliver_due(store, home, now=5e8)) == [("a", 1, 2, "delivered")]


def test_a_slow_or_broken_hook_delays_no_other_and_no_writer(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    waits = "import os, time\nwhile not os.path.exists('go-on'): time.sleep(0.01)"
    configure(
        f"[hooks.slow]\non = '*'\ncommand = {python(waits)}\n"
        f"[hooks.broken]\non = '*'\ncommand = ['/nowhere']\n" + web("quick", receiver)
    )
    happen(), happen()

    def note(done: Delivery) -> None:
        if (done.hook, done.number) == ("quick", 2):  # the slow one is at work: another connection can write at once
            with open_store(home.store) as other, other.transaction():
                other.write("UPDATE outbox SET at = at")
            (home.root / "go-on").touch()

    done = deliver_due(store, home, on_delivery=note)
    assert set(states(done)) == {
        ("quick", 1, 1, "delivered"),
        ("quick", 2, 1, "delivered"),
        ("broken", 1, 1, "due"),
        ("slow", 1, 1, "delivered"),
        ("slow", 2, 1, "delivered"),
    }


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A module `stuck_of_test` whose function returns when the event is set."""
    go_on = threading.Event()
    module = type(sys)("stuck_of_test")
    module.f = lambda _: go_on.wait(30.0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stuck_of_test", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("core.hooks.delivery._GRACE", 0.0)
    yield go_on
    go_on.set()


def test_a_function_that_does_not_return_is_not_called_beside_itself(
    store: Store, home: Home, configure: Configure, happen: Happen, stuck: threading.Event
) -> None:
    configure("[hooks.a]\non = '*'\ncallback = 'stuck_of_test:f'\ntimeout = 0.1\n")
    happen()
    (done,) = deliver_due(store, home, now=100.0)
    assert done.state == "due" and "took longer than 0.1 s" in done.said
    assert deliver_due(store, home, now=5_000.0) == []
    stuck.set()
    deadline = time.monotonic() + 10.0
    while not (found := deliver_due(store, home, now=10_000.0)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert states(found) == [("a", 1, 2, "delivered")]


def test_two_deliverers_do_not_deliver_at_once(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver))
    happen()
    receiver.hold.clear()
    others: list[Delivery] = []

    def deliver() -> None:
        with open_store(home.store) as own:
            others.extend(deliver_due(own, home))

    first = threading.Thread(target=deliver)
    first.start()
    deadline = time.monotonic() + 10.0
    while not receiver.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert deliver_due(store, home, now=LATER + 1e6) == []
    receiver.hold.set()
    first.join(10.0)
    assert states(others) == [("a", 1, 1, "delivered")]
    assert deliver_due(store, home) == []
    assert receiver.numbers == [1]


def test_no_attempt_begins_when_the_time_is_up(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver))
    happen()
    assert deliver_due(store, home, seconds=0.0) == []
    assert receiver.requests == []
    assert len(deliver_due(store, home)) == 1


def test_fewer_tries_than_were_made_already(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver))
    happen()
    receiver.status = 500
    deliver_due(store, home, now=100.0)
    configure(web("a", receiver, "tries = 1"))
    (done,) = deliver_due(store, home, now=101.0)
    assert (done.state, len(receiver.requests)) == ("given up", 1) and "500" in done.said


def test_a_faulty_configuration_is_an_error_that_loses_nothing(
    store: Store, home: Home, configure: Configure, receiver: Receiver, happen: Happen
) -> None:
    configure(web("a", receiver))
    happen()
    deliver_due(store, home, seconds=0.0)
    configure("[hooks.a]\non = 'all'\n")
    heard: list[Mapping[str, Any]] = []
    callbacks = Callbacks()
    callbacks.on(store, "*", heard.append)
    happen()
    with pytest.raises(ConfigError):
        deliver_due(store, home, callbacks=callbacks)
    assert len(heard) == 1
    configure(web("a", receiver))
    assert [one.number for one in deliver_due(store, home)] == [1, 2]


@pytest.mark.process
@pytest.mark.parametrize("moment", ["doing", "noting"])
def test_a_kill_in_the_middle_delivers_again(
    store: Store, home: Home, configure: Configure, happen: Happen, moment: str
) -> None:
    """kill -9 while the program works, or after it has worked and before that is noted."""
    log = home.root / "told.txt"
    wait = "while not os.path.exists('quick'): time.sleep(0.01)" if moment == "doing" else ""
    code = f"import sys, json, os, time; open('told.txt', 'a').write(json.load(sys.stdin)['id'] + chr(10))\n{wait}"
    configure(f"[hooks.a]\non = '*'\ncommand = {python(code)}\n")
    happen()
    script = (
        "import os, sys; from pathlib import Path; from core.hooks.delivery import deliver_due\n"
        "from core.paths import Home; from storage import outbox; from storage.db import open_store\n"
        f"if {moment!r} == 'noting': outbox.settle = lambda *_: os.kill(os.getpid(), 9)\n"
        "home = Home(Path(sys.argv[1])); deliver_due(open_store(home.store), home, now=100.0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", script, str(home.root)], env=environment)
    if moment == "doing":
        deadline = time.monotonic() + 30.0
        while not log.exists() and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.01)
        child.kill()
    assert child.wait(30.0) == -signal.SIGKILL
    ((_, told),) = outbox.log(store, limit=5)
    assert (told.attempts, told.state) == (1, "due") and "never noted" in told.said
    (home.root / "quick").touch()
    assert deliver_due(store, home, now=129.0) == []
    assert states(deliver_due(store, home, now=130.0)) == [("a", 1, 2, "delivered")]
    first, second = log.read_text(encoding="utf-8").split()
    assert first == second


def test_callbacks_hear_what_happens_from_now_on_whoever_does_it(store: Store, home: Home, happen: Happen) -> None:
    happen()
    callbacks = Callbacks()
    heard: list[tuple[str, int]] = []

    def broken(_: Mapping[str, Any]) -> None:
        raise ValueError("no")

    callbacks.on(store, "fine_tuning.failed", broken)
    callbacks.on(store, "fine_tuning.failed", lambda event: heard.append(("failed", event["number"])))
    with open_store(home.store) as other:
        outbox.publish(other, "fine_tuning.failed", "erd", {}, now=1.0)
        outbox.publish(other, "fine_tuning.completed", "erd", {}, now=1.0)
    callbacks.on(store, "*", lambda event: heard.append(("all", event["number"])))
    happen("fine_tuning.failed")
    done = deliver_due(store, home, callbacks=callbacks)
    assert heard == [("failed", 2), ("failed", 4), ("all", 4)]
    assert [(one.number, one.state) for one in done] == [
        (2, "given up"),
        (2, "delivered"),
        (4, "given up"),
        (4, "delivered"),
        (4, "delivered"),
    ]
    assert "ValueError: no" in done[0].said
    assert deliver_due(store, home, callbacks=callbacks) == []
    with pytest.raises(ConfigError, match="is no event") as raised:
        callbacks.on(store, "fine_tuning.promote", print)
    assert "fine_tuning.promoted" in raised.value.hint


def test_a_callback_may_poll_itself(store: Store, happen: Happen) -> None:
    callbacks = Callbacks()
    heard: list[int] = []

    def polls(event: Mapping[str, Any]) -> None:
        heard.append(event["number"])
        callbacks.poll(store)

    callbacks.on(store, "*", polls)
    happen(), happen()
    callbacks.poll(store)
    assert heard == [1, 2]
