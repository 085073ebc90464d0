"""Delivers what is due: at least once, in order for each hook, and by one process at a time.

An attempt is counted in the store before it is made and its outcome is noted afterwards, with no transaction open in
between. A process that is killed between doing and noting therefore leads to a second delivery of the same id, never to
a lost one; and an event that kills whoever delivers it is given up in the end like any other.

One process delivers at a time: it holds a lock on `hooks.lock` in the home folder (flock, which ends with its process
however that ends). A claim in the store would have to be taken from the dead by a clock, and would so deliver twice
when a machine sleeps. Each hook has a thread of its own in a pass, so that none waits for another.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from core.errors import FinetuneError
from core.hooks.callbacks import Callbacks
from core.hooks.channels import HookFailed, send
from core.hooks.message import Delivery, message
from core.hooks.settings import Hook, load_hooks
from core.paths import Home
from storage import outbox
from storage.db import Store

FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 3_600.0
LOCK: Final = "hooks.lock"
_GRACE: Final = 2.0
_BEGUN: Final = "begun; what came of it was never noted"

# Attempts of this process that outlived their time: a thread cannot be ended, and its hook waits until it has.
_OUTLIVED: dict[tuple[Path, str], threading.Thread] = {}


def pause_after(attempts: int) -> float:
    """Seconds from a failed attempt, the n-th, to the next: 30 × 2^(n − 1), at most an hour."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 30)))


def deliver_due(
    store: Store,
    home: Home,
    *,
    callbacks: Callbacks | None = None,
    now: float | None = None,
    on_delivery: Callable[[Delivery], None] | None = None,
    seconds: float = 30.0,
) -> list[Delivery]:
    """Polls `callbacks`, then makes every attempt that is due by the configured hooks; returns the attempts.

    Attempts begin for `seconds` at most; those at work are waited for, each no longer than its own limit. What fails is
    due again later, and not tried twice in one call. Where another process delivers just now, nothing is attempted.
    `now` takes the place of the clock, in seconds since the epoch. Call it outside any transaction.
    Raises ConfigError when the hooks are wrongly configured, after the callbacks were called.
    """
    done = callbacks.poll(store) if callbacks is not None else []
    if on_delivery is not None:
        for delivery in done:
            on_delivery(delivery)
    hooks = load_hooks(home)
    refresh(store, home, hooks)
    if not any(outbox.head(store, name) for name in hooks):
        return done
    with _alone(home) as alone:
        if alone:
            clock = time.time if now is None else lambda: now
            done += _Pass(store, home, hooks, clock=clock, seconds=seconds, on_delivery=on_delivery).work()
    return done


def refresh(store: Store, home: Home, hooks: Mapping[str, Hook]) -> None:
    """Makes due what has happened for the hooks; what is known of one that is configured no more is removed.

    A new hook gets what happened since its configuration was written, not the history before.
    """
    wanted = {hook.name: outbox.Wanted(hook.on, hook.categories) for hook in hooks.values()}
    written = home.config.stat().st_mtime if home.config.exists() else time.time()
    outbox.arrange(store, wanted, configured_at=written)


@contextmanager
def _alone(home: Home) -> Iterator[bool]:
    """Whether this is the only deliverer of the home, until the block ends."""
    path = home.root / LOCK
    try:
        file = path.open("ab")
    except OSError as error:
        raise FinetuneError(
            f"{path} cannot be opened: {error.strerror}.",
            title="The hooks were not told",
            hint="Check the permissions of the home folder; what is due stays due.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@dataclass(eq=False, slots=True)
class _Attempt:
    hook: Hook
    row: outbox.OutboxRow
    number: int
    thread: threading.Thread | None = None
    deadline: float = 0.0
    fault: str | None = None
    said: str = ""


class _Pass:
    """One round over the hooks. Only this thread touches the store; the threads of the attempts only tell."""

    def __init__(
        self,
        store: Store,
        home: Home,
        hooks: Mapping[str, Hook],
        *,
        clock: Callable[[], float],
        seconds: float,
        on_delivery: Callable[[Delivery], None] | None,
    ) -> None:
        self._store = store
        self._home = home
        self._free = dict(hooks)
        self._clock = clock
        self._on_delivery = on_delivery
        self._until = time.monotonic() + seconds
        self._at_work: list[_Attempt] = []
        self._ended: SimpleQueue[_Attempt] = SimpleQueue()
        self._done: list[Delivery] = []

    def work(self) -> list[Delivery]:
        """Until nothing is due any more or the time is up."""
        while True:
            for hook in list(self._free.values()):
                attempt = self._begun(hook) if time.monotonic() < self._until else None
                if attempt is not None:
                    self._at_work.append(attempt)
            self._free.clear()
            if not self._at_work:
                return self._done
            for attempt in self._next_ended():
                self._at_work.remove(attempt)
                self._note(attempt)

    def _begun(self, hook: Hook) -> _Attempt | None:
        """The next attempt for a hook, already under way; None when none is due."""
        key = (self._home.root, hook.name)
        outlived = _OUTLIVED.get(key)
        if outlived is not None and outlived.is_alive():
            return None
        _OUTLIVED.pop(key, None)
        while (found := outbox.head(self._store, hook.name)) is not None:
            row, known = found
            if known.attempts >= hook.tries:
                self._settle(hook, row, known.attempts, "given up", known.said)
                continue
            # A clock that was set back must not make a hook wait for the time between.
            if known.attempts and 0.0 <= self._clock() - known.last_at < pause_after(known.attempts):
                return None
            told = message(row)
            outbox.begin(self._store, row.id, hook.name, said=_BEGUN, now=self._clock())
            attempt = _Attempt(hook, row, known.attempts + 1, deadline=time.monotonic() + hook.timeout + _GRACE)
            attempt.thread = threading.Thread(
                target=self._tell, args=(attempt, told), name=f"hook {hook.name}", daemon=True
            )
            attempt.thread.start()
            return attempt
        return None

    def _tell(self, attempt: _Attempt, told: Mapping[str, Any]) -> None:
        try:
            attempt.said = send(attempt.hook, told, self._home)
        except HookFailed as error:
            attempt.fault = str(error)
        except BaseException as error:  # noqa: BLE001 - the boundary of the thread: without a word it would seem at work
            attempt.fault = f"unexpected {type(error).__name__}: {error}"
        self._ended.put(attempt)

    def _next_ended(self) -> list[_Attempt]:
        """The attempt that ends next, or those whose time is up."""
        first = min(attempt.deadline for attempt in self._at_work)
        try:
            attempt = self._ended.get(timeout=max(0.0, first - time.monotonic()))
        except Empty:
            late = [attempt for attempt in self._at_work if attempt.deadline <= time.monotonic()]
            for attempt in late:
                attempt.fault = (
                    f"took longer than {attempt.hook.timeout:g} s and goes on; it waits until that has ended"
                )
                assert attempt.thread is not None
                _OUTLIVED[self._home.root, attempt.hook.name] = attempt.thread
            return late
        return [attempt] if attempt in self._at_work else []

    def _note(self, attempt: _Attempt) -> None:
        hook = attempt.hook
        if attempt.fault is None:
            self._settle(hook, attempt.row, attempt.number, "delivered", attempt.said)
            self._free[hook.name] = hook
        elif attempt.number >= hook.tries:
            self._settle(hook, attempt.row, attempt.number, "given up", attempt.fault)
            self._free[hook.name] = hook
        else:
            self._settle(hook, attempt.row, attempt.number, "due", attempt.fault)

    def _settle(self, hook: Hook, row: outbox.OutboxRow, attempts: int, state: outbox.DeliveryState, said: str) -> None:
        outbox.settle(self._store, row.id, hook.name, state, said)
        next_at = self._clock() + pause_after(attempts) if state == "due" else None
        delivery = Delivery(hook.name, row.id, row.name, row.category, attempts, state, said, next_at)
        self._done.append(delivery)
        if self._on_delivery is not None:
            self._on_delivery(delivery)
