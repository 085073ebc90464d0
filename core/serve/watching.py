"""What a gateway does beside answering: looks how production does, and keeps Ollama in step with the store."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from core.capture.retention import clean_up
from core.config import load_config
from core.errors import FinetuneError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.watch import watch_all
from core.release.ollama_serving import follow
from core.serve.store_file import identity
from core.serve.trimming import trim_responses

LOOK_SECONDS: Final = 60.0
TRIM_SECONDS: Final = 3_600.0


class Watching:
    """A thread with a loop of its own. A version that does worse than the one before is rolled back where that is
    on (`core.prove.watch`); with `follows` Ollama is pointed at what the store says, for the case that it was away.
    Once an hour old events go beyond what a category may keep, and rows of old answers (`core.serve.trimming`)."""

    def __init__(self, home: Home, *, follows: bool, say: Callable[[str], None]) -> None:
        self._home = home
        self._follows = follows
        self._say = say
        self._stop = threading.Event()
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="watching", daemon=True)

    def start(self) -> None:
        """Begins with a first look."""
        self._thread.start()

    async def close(self) -> None:
        """Ends after the look at hand, or without it when that takes long."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 5.0)

    def _work(self) -> None:
        while True:
            try:
                with LearningLoop(self._home) as loop:
                    seen, trimmed_at = -1, -math.inf
                    opened = identity(self._home.store)
                    while not self._stop.is_set():
                        if (version := loop.store.data_version()) != seen:
                            seen = version
                            self._tell(self._rolled_back(loop))
                        if self._follows:
                            # As a promotion beside it would be given today, or the two would undo each other.
                            config = replace(load_config(loop.home), serve=loop.config.serve)
                            self._tell(follow(loop.store, loop.home, config))
                        if time.monotonic() >= trimmed_at + TRIM_SECONDS:
                            trim_responses(loop.store, loop.home, now=time.time())
                            clean_up(loop.store, loop.config, now=time.time())
                            trimmed_at = time.monotonic()
                        if identity(self._home.store) != opened:
                            self._tell(["The store was replaced: start the gateway again to serve what it says."])
                        self._stop.wait(LOOK_SECONDS)
                    return
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: it says what it is, and goes on
                known = isinstance(error, FinetuneError)
                self._tell([str(error) if known else f"Watching failed: {type(error).__name__}: {error}"])
            if self._stop.wait(LOOK_SECONDS):
                return

    def _rolled_back(self, loop: LearningLoop) -> Iterator[str]:
        for acted in watch_all(loop, now=time.time()):
            category = acted.watch.category
            if acted.problem:
                yield f"{category}: {acted.watch.why} {acted.problem}"
            elif acted.change is not None:
                yield f"{category}: {loop.version(acted.change.to_version).name} serves again. {acted.watch.why}"

    def _tell(self, lines: Iterator[str] | list[str]) -> None:
        """Says each line once; a fault that stays is not said again."""
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                self._say(line)
