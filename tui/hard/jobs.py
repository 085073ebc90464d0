"""What a model is asked from the screen of the hard negatives: tests of a version, and answers given again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from core.categories import category, load_categories, select_of
from core.config import Config, load_config
from core.paths import Home
from storage import events
from storage.db import open_store
from tui.screens.base import BaseScreen
from tui.words import counted, number

if TYPE_CHECKING:
    from core.backends.watched import Streaming, Watched
    from core.capture.again import AnswerAgain

_TELL_SECONDS = 0.08
"""A burst of tokens is one repaint."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is being done: `testing` events, or `answering` one again. `text` is what has come of the answer."""

    kind: Literal["testing", "answering"]
    event_ids: tuple[int, ...]
    version: str = ""
    done: int = 0
    total: int = 0
    text: str = ""
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given again, and what became of it."""

    version: str
    text: str
    ended: str


def open_backend(home: Home, config: Config) -> Streaming:
    """What answers for versions and base models."""
    from core.backends.by_name import ModelsByName

    return ModelsByName(num_ctx=config.publish.num_ctx, log=home.logs / "llamacpp.txt")


class HardJobs:
    """One job at a time, in a thread.

    On the app's thread `changed()` is called when there is more to show, `ended(note, event_ids)` when a job is over.
    """

    def __init__(
        self, screen: BaseScreen, changed: Callable[[], None], ended: Callable[[str, Sequence[int]], None]
    ) -> None:
        self._screen = screen
        self._changed = changed
        self._ended = ended
        self._backend: Watched | None = None
        self._gone = threading.Event()
        self.job: Job | None = None
        self.given: dict[int, Given] = {}

    def stop(self) -> None:
        """Break off what is being done; what was answered until then is kept."""
        self._gone.set()
        if self._backend is not None:
            self._backend.stop()
        if self.job is not None:
            self.job = replace(self.job, stopping=True)

    def test(self, category_name: str, event_ids: Sequence[int]) -> None:
        """Let the newest version answer the prompts of these events, and score what it says."""
        if self.job is None:
            self.job = Job("testing", tuple(event_ids), total=len(event_ids))
            self._start(partial(self._test, category_name, event_ids), "testing hard negatives", self._finish)

    def answer(self, event_id: int) -> None:
        """Let the version that serves, else the newest, answer a prompt again; the answer is recorded."""
        if self.job is None:
            self.job = Job("answering", (event_id,))
            self.given.pop(event_id, None)
            self._start(partial(self._answer, event_id), "answering a prompt again", partial(self._keep, event_id))

    # On the app's thread.

    def _start(self, work: Callable[[], object], doing: str, then: Callable[[object], None]) -> None:
        self._gone.clear()
        self._screen.in_background(work, group="hard.job", description=doing, then=then, failed=self._failed)
        self._changed()

    def _finish(self, note: object) -> None:
        self._end(str(note))

    def _end(self, note: str) -> None:
        job, self.job = self.job, None
        self._ended(note, job.event_ids if job is not None else ())

    def _keep(self, event_id: int, answered: object) -> None:
        job = self.job
        if isinstance(answered, str):
            self.given[event_id] = Given(job.version if job else "", job.text if job else "", f"■ {answered}")
        else:
            found: AnswerAgain = answered  # type: ignore[assignment]
            self.given[event_id] = Given(found.version, found.text, _ended(found))
        self._end("")

    def _failed(self, error: BaseException) -> None:
        self._screen.finetune.report(error, "asking a version")
        self._end("")

    def _progress(self, **what: object) -> None:
        """Called in the thread: posting is the one thing that it may do with a widget."""
        self._screen.call_later(self._told, what)

    def _told(self, what: dict[str, object]) -> None:
        if self.job is not None:
            self.job = replace(self.job, **what)  # type: ignore[arg-type]
            self._changed()

    # In the thread.

    def _open(self, home: Home, config: Config, heard: Callable[[str], None]) -> Watched:
        from core.backends.watched import BrokenOff, Watched

        backend = Watched(open_backend(home, config), heard)
        self._backend = backend
        if self._gone.is_set():
            backend.close()
            raise BrokenOff
        return backend

    def _test(self, category_name: str, event_ids: Sequence[int]) -> str:
        from core.backends.watched import BrokenOff
        from core.prove.evaluate import sampling_of
        from core.prove.retest import retest_these
        from core.release.answering import model_file, newest_version

        home, config = self._screen.home, load_config(self._screen.home)
        own = category(load_categories(home), category_name)
        with open_store(home.store) as store:
            version = newest_version(store, home, own.name)
            self._progress(version=version.name)
            done = 0

            def progress(at: int, total: int) -> None:
                nonlocal done
                done = at
                self._progress(done=at, total=total)
                backend.check()

            with suppress(BrokenOff), self._open(home, config, lambda _: None) as backend:
                found = retest_these(
                    store,
                    backend,
                    str(model_file(home, version)),
                    version,
                    own,
                    event_ids=event_ids,
                    constants=select_of(own, config),
                    sampling=sampling_of(config.publish),
                    seed=int(version.settings.get("seed", 0)),
                    progress=progress,
                )
                return f"{version.name}: {found.summary}"
            return f"stopped after {counted(done, 'answer')}; what was tested is kept"

    def _answer(self, event_id: int) -> AnswerAgain | str:
        from core.backends.watched import BrokenOff
        from core.capture.again import answer_again
        from core.capture.record import Recorder
        from core.prove.evaluate import sampling_of
        from core.release.answering import answering

        home, config = self._screen.home, load_config(self._screen.home)
        categories = load_categories(home)
        parts: list[str] = []
        told = time.monotonic()

        def heard(text: str) -> None:
            nonlocal told
            parts.append(text)
            if time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                self._progress(text="".join(parts))

        with open_store(home.store) as store:
            event = events.get(store, event_id)
            found = answering(store, home, config, category(categories, event.category))
            self._progress(version=found.name)
            with suppress(BrokenOff), self._open(home, config, heard) as backend:
                return answer_again(
                    Recorder(store, home, config, categories),
                    backend,
                    found.model,
                    event,
                    name=found.name,
                    sampling=sampling_of(config.publish),
                    seed=time.time_ns() & 0xFFFF_FFFF,
                )
        self._progress(text="".join(parts))
        return "stopped; nothing was recorded"


def _ended(found: AnswerAgain) -> str:
    score = f"score {number(found.score, 0)}"
    if found.held_out:
        return f"✓ {score}; not recorded, since its prompt is kept for testing"
    if found.known:
        return f"✓ {score}; the same answer as event {found.event_id}"
    return f"✓ {score}; recorded as event {found.event_id}"
