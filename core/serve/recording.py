"""From the journal into the store, in a thread of its own: judged like all feedback, each answer exactly once.

A batch of answers is judged first, which may take seconds; its events and the rows that say "recorded" are then kept in
one transaction, durable before the segment of the journal goes. Whatever is killed in between, reading the segment
again finds the rows and passes over them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from core.capture.record import Recorder
from core.categories import Category
from core.config import Config
from core.errors import FinetuneError, NotFoundError, StoreError
from core.paths import Home
from core.serve.exchange import Exchange
from core.serve.journal import Journal, Segment
from core.serve.remark import Remark, apply
from core.serve.store_file import identity
from core.serve.taken import Taken, incoming_of, not_recordable, store_all
from storage import responses
from storage.db import Store, open_store
from storage.responses import ResponseRow

_BATCH: Final = 200
_JUDGING_SECONDS: Final = 0.5
"""After this long, what is judged is stored before more is judged, so that a slow validator holds up its own."""
_GATHER_SECONDS: Final = 0.3
_LOOK_SECONDS: Final = 5.0
"""How often segments are looked for that another process has left."""
_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_LATER_SECONDS: Final = 60.0

Recorded = Callable[[Exchange, int], None]


class Recording:
    """Records what a journal holds, from `start` until `stop`.

    `on_recorded(exchange, event id)` is called in the recording thread after each answer that became an event; `say`
    gets a line for whatever went wrong.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        categories: Mapping[str, Category],
        journal: Journal,
        *,
        on_recorded: Recorded = lambda exchange, event_id: None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.journal = journal
        self.recorded = 0
        """How many answers became events, or were added to one, since the start."""
        self.left_out = 0
        """How many did not, with a note in the store."""
        self.problem = ""
        """What keeps the store from being written at the moment."""
        self.caught_up = threading.Event()
        """Set once nothing is left of what earlier processes had written down."""
        self._home, self._config, self._categories = home, config, categories
        self._on_recorded = on_recorded
        self._say = say
        self._later: dict[Path, float] = {}
        self._before = set(journal.segments())
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def start(self) -> None:
        """Begins with what a killed process left."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> bool:
        """Records what is there and ends; False when that could not be done in `timeout` seconds.

        What is left then stays in the journal for the next start.
        """
        self._deadline = time.monotonic() + timeout
        self.journal.wake.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout + 1.0)
        return not self._thread.is_alive() and not self.problem

    def figures(self) -> dict[str, Any]:
        """What a health report shows, as JSON values."""
        return {
            "recorded": self.recorded,
            "left_out": self.left_out,
            "waiting": self.journal.waiting,
            "dropped": self.journal.dropped,
            "problem": self.problem or self.journal.problem,
        }

    # -- the thread

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                with open_store(self._home.store) as store:
                    recorder = Recorder(store, self._home, self._config, self._categories)
                    recorder.preparer  # noqa: B018 - makes the store's secret before anything waits for it
                    opened = identity(self._home.store)
                    while identity(self._home.store) == opened:
                        if not self._step(recorder):
                            return
                        failures = 0
                self._say("The store was replaced; recording goes on in the one that is there now.")
                continue
            except (FinetuneError, OSError) as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever a validator or hook does
                self._failed(f"{type(error).__name__}: {error}")
            if self._ending(_PAUSES[min(failures, len(_PAUSES) - 1)]):
                return
            failures += 1

    def _failed(self, why: str) -> None:
        if why != self.problem:
            self._say(f"Recording waits: {why}")
        self.problem = why

    def _ending(self, pause: float) -> bool:
        """Waits before the next try; True where there is no time for one."""
        until = time.monotonic() + pause
        while self._deadline is None and time.monotonic() < until:
            time.sleep(0.05)
        if self._deadline is None:
            return False
        time.sleep(min(0.1, pause))
        return time.monotonic() >= self._deadline

    def _step(self, recorder: Recorder) -> bool:
        """Records one segment, or waits for one; False at the end."""
        self.journal.wake.clear()
        now = time.monotonic()
        self._later = {path: at for path, at in self._later.items() if at > now}
        segment = self.journal.take(skip=self._later)
        if segment is None:
            self.caught_up.set()
            self.problem = ""
            if self._deadline is not None:
                return False
            if self.journal.wake.wait(_LOOK_SECONDS):
                self._gather()
            return True
        try:
            self._record_all(recorder, segment)
            segment.done()
        except OSError as error:
            # One that cannot be read or removed must not keep the others waiting.
            self._later[segment.path] = now + _LATER_SECONDS
            self._say(f"{segment.path.name} cannot be read and removed: {error}")
            segment.release()
            return True
        except BaseException:
            segment.release()
            raise
        if segment.damaged:
            self._say(f"{segment.path.name} had {segment.damaged} damaged lines, which were left out.")
        self.problem = ""
        own = segment.path not in self._before
        self._before.discard(segment.path)
        if not self._before:
            self.caught_up.set()
        if own:
            self._gather()
        return True

    def _gather(self) -> None:
        """Lets answers come together: one transaction for many costs little, and requests at work share the processor
        with this thread more seldom."""
        until = time.monotonic() + _GATHER_SECONDS
        while self._deadline is None and self.journal.waiting < _BATCH and time.monotonic() < until:
            time.sleep(_GATHER_SECONDS / 10)

    def _record_all(self, recorder: Recorder, segment: Segment) -> None:
        for batch in segment.batches(_BATCH):
            store = recorder.store
            known = responses.known(store, [entry.id for entry in batch if isinstance(entry, Exchange)])
            taken: list[Taken] = []
            begun = time.monotonic()
            for entry in batch:
                if isinstance(entry, Remark):
                    self._keep(recorder, taken)
                    taken = []
                    self._remark(recorder, entry)
                elif entry.id not in known:
                    known.add(entry.id)
                    taken.append(self._taken(recorder, entry))
                if taken and time.monotonic() - begun > _JUDGING_SECONDS:
                    self._keep(recorder, taken)
                    taken, begun = [], time.monotonic()
            self._keep(recorder, taken)
            self.journal.settled(batch)

    def _taken(self, recorder: Recorder, exchange: Exchange) -> Taken:
        """Judged without the store being locked: a validator may take seconds."""
        note = not_recordable(exchange)
        if note:
            return Taken(exchange, None, note)
        try:
            return Taken(exchange, recorder.preparer.prepare(incoming_of(exchange), exchange.at), "")
        except StoreError:
            raise
        except FinetuneError as error:
            return Taken(exchange, None, error.message)
        except Exception as error:  # noqa: BLE001 - a validator is foreign code, and one answer must not stop the rest
            self._say(f"Response {exchange.id} could not be judged: {type(error).__name__}: {error}")
            return Taken(exchange, None, f"It could not be judged ({type(error).__name__}).")

    def _keep(self, recorder: Recorder, taken: Sequence[Taken]) -> None:
        if not taken:
            return
        try:
            kept = store_all(recorder, taken)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - told and kept below; the thread must go on with the others
            if len(taken) > 1:  # one of them cannot be stored: the others are not to suffer for it
                for one in taken:
                    self._keep(recorder, [one])
                return
            kept = self._keep_refused(recorder, taken[0], error)
        self.journal.settled([one.exchange for one in taken])
        for exchange, event_id in kept:
            if event_id is None:
                self.left_out += 1
            else:
                self.recorded += 1
                self._on_recorded(exchange, event_id)

    def _keep_refused(self, recorder: Recorder, one: Taken, error: Exception) -> list[tuple[Exchange, int | None]]:
        """Keeps what the store has refused, without what may be at fault: its version, which another store may have
        had, then its event."""
        self._say(f"Response {one.exchange.id} could not be stored whole: {type(error).__name__}: {error}")
        bare = replace(one.exchange, version_id=None)
        try:
            return store_all(recorder, [replace(one, exchange=bare)])
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - said above; whatever the fault is, it is that of this answer alone
            why = f"It could not be stored ({type(error).__name__})."
            return store_all(recorder, [Taken(bare, None, why)])

    def _remark(self, recorder: Recorder, remark: Remark) -> None:
        """What a caller said while the answer was still on its way into the store."""
        row = answer_of(recorder.store, remark.response_id)
        if row is None or row.event_id is None:
            self._say(f"Feedback for {remark.response_id[:60]!r} was dropped: no such answer is recorded.")
            return
        try:
            apply(recorder, remark, row.event_id)
        except StoreError:
            raise
        except (FinetuneError, NotFoundError) as error:
            self._say(f"Feedback for {remark.response_id[:60]!r} was dropped: {error.message}")


def answer_of(store: Store, key: str) -> ResponseRow | None:
    """The answer with this id; of a body's id only where one answer alone has it."""
    row = responses.get(store, key)
    if row is None:
        found = responses.by_body_id(store, key)
        row = found[0] if len(found) == 1 else None
    return row
