"""Runs the gateway: start checks, the parts put together, and an end that loses nothing that was answered."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Final

import uvicorn

from core.backends.ollama_store import server_url
from core.config import Config
from core.errors import BackendError
from core.loop import LearningLoop
from core.only_one import only_one
from core.paths import Home
from core.release.ollama_names import name_in_ollama
from core.release.ollama_publish import publish
from core.release.registry import code_version
from core.serve.app import make_app
from core.serve.guard import rules_of
from core.serve.listening import allow_files, check_token, check_upstream, listen, url_of
from core.serve.ollama_upstream import OllamaUpstream
from core.serve.protocol import GatewayProtocol
from core.serve.route import Router
from core.serve.traffic import Traffic
from core.serve.upstream import Upstream
from storage.db import Store
from storage.rows import VersionRow

GRACE_SECONDS: Final = 30
"""How long answers that have begun may go on after the gateway was told to end."""

_ASK_SECONDS: Final = 2.0
_SWITCH_SECONDS: Final = 0.0001

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that listens. `backend` is "ollama" or "embedded"; `upstream` is Ollama's URL, else ""."""

    url: str
    backend: str
    upstream: str
    aliases: tuple[str, ...]
    recording: bool


def run(home: Home, *, ready: Callable[[Serving], None], say: Say, access_log: bool = False, **settings: Any) -> bool:
    """Serves until SIGINT or SIGTERM; a second SIGINT does not wait for answers that have begun.

    `settings` are laid over the section [serve] of the configuration. `ready` is called once it listens, `say` with
    whatever goes wrong behind the requests. Returns whether all that was answered is recorded.
    Raises FinetuneError when it cannot begin.
    """
    home.ensure()
    with ExitStack() as stack:
        stack.enter_context(only_one(home, "gateway"))
        allow_files()
        loop = stack.enter_context(LearningLoop(home))
        config = replace(loop.config, serve=replace(loop.config.serve, **settings))
        check_token(config.serve)
        listening = stack.enter_context(listen(config.serve.host, config.serve.port))
        port: int = listening.getsockname()[1]
        upstream = _upstream(home, config, loop, port, say)
        gateway = _Gateway(loop, config, upstream, say)
        # Judging works in a thread beside: it is to hand over quickly to requests that wait.
        stack.enter_context(_switching_every(_SWITCH_SECONDS))
        stack.enter_context(_logging(access_log))
        serving = Serving(
            url_of(config.serve.host, port),
            upstream.name,
            upstream.url if isinstance(upstream, OllamaUpstream) else "",
            tuple(gateway.router.aliases()),
            config.serve.record,
        )
        asyncio.run(gateway.serve(listening, lambda: ready(serving), access_log=access_log))
    return gateway.recorded


class _Gateway:
    """The parts of one gateway and the order in which they begin and end."""

    def __init__(self, loop: LearningLoop, config: Config, upstream: Upstream, say: Say) -> None:
        from core.serve.journal import Journal, folder_of
        from core.serve.recording import Recording
        from core.serve.shadow import Shadow

        self.recorded = False
        home, categories = loop.home, loop.categories
        names = _in_ollama if isinstance(upstream, OllamaUpstream) else _as_stored
        self.router = Router(loop.store, config, categories, names=names)
        self._loop, self._config, self._upstream, self._say = loop, config, upstream, say
        self._traffic = Traffic()
        prepare = _publishing(home, config, upstream.url) if isinstance(upstream, OllamaUpstream) else _nothing
        self._shadow = Shadow(home, config, categories, upstream, self._traffic, names=names, prepare=prepare, say=say)
        self._journal = Journal(folder_of(home))
        self._recording = Recording(home, config, categories, self._journal, on_recorded=self._shadow.offer, say=say)

    async def serve(self, listening: Any, ready: Callable[[], None], *, access_log: bool) -> None:
        from core.serve.feedback import Feedback
        from core.serve.watching import Watching

        home = self._loop.home
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._upstream.close)
            stack.push_async_callback(self._stop_recording)
            self._recording.start()
            feedback = Feedback(home, self._config, self._loop.categories, self._journal, self._recording)
            stack.push_async_callback(feedback.close)
            if self._config.serve.record and self._config.serve.shadow_share > 0:
                stack.push_async_callback(self._shadow.close)
                self._shadow.start()
            watching = Watching(home, follows=self._upstream.name == "ollama", say=self._say)
            stack.push_async_callback(watching.close)
            watching.start()
            app = make_app(
                self._upstream,
                self.router,
                self._journal if self._config.serve.record else None,
                rules=rules_of(self._config.serve),
                traffic=self._traffic,
                extra_routes=feedback.routes,
                figures=self._figures,
                behind=self._upstream.url if isinstance(self._upstream, OllamaUpstream) else "",
            )
            await _Server(app, ready, self._say, access_log=access_log).serve([listening])

    def _figures(self) -> dict[str, Any]:
        return {**self._recording.figures(), "shadow": self._shadow.figures(), "version": code_version()}

    async def _stop_recording(self) -> None:
        done = await asyncio.to_thread(self._recording.stop)
        self._journal.close()
        self.recorded = done and not self._journal.dropped
        if self._journal.dropped:
            self._say(f"{self._journal.dropped} answers were not kept: {self._journal.problem}.")
        if not done:
            self._say("Not everything is recorded yet; the next start goes on with it.")


class _Server(uvicorn.Server):
    """Uvicorn without its way with signals: it would raise them again at the end, before the journal is recorded."""

    def __init__(self, app: Any, ready: Callable[[], None], say: Say, *, access_log: bool) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=GatewayProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=access_log,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._ready = ready
        self._say = say

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: Any = None) -> None:
        if self.server_state.tasks and not self.force_exit:
            self._say(f"Answers that have begun go on, for {GRACE_SECONDS} s at most; ctrl+c again ends them.")
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _in_ollama(version: VersionRow) -> str:
    return name_in_ollama(version.name)


def _publishing(home: Home, config: Config, url: str) -> Callable[[Store, VersionRow], None]:
    """Gives a candidate to Ollama, as it would be given when it is promoted."""

    def publish_candidate(store: Store, version: VersionRow) -> None:
        from core.backends.ollama_api import OllamaApi

        with OllamaApi(url) as api:
            publish(store, home, config, version, api)

    return publish_candidate


def _nothing(store: Store, version: VersionRow) -> None:
    """The embedded server answers with any version as it is."""


def _as_stored(version: VersionRow) -> str:
    return version.name


def _upstream(home: Home, config: Config, loop: LearningLoop, port: int, say: Say) -> Upstream:
    """Ollama where it is wanted or answers, else the embedded server."""
    from core.backends.ollama_api import OllamaApi

    wanted = config.serve.backend
    if wanted != "embedded":
        address = config.serve.ollama or server_url()
        with OllamaApi(address, timeout=_ASK_SECONDS) as api:
            address = api.url
            try:
                check_upstream(address, config.serve.host, port)
                api.version()
                return OllamaUpstream(api.url)
            except BackendError as error:
                if wanted == "ollama":
                    say(f"{error.message} Requests get an error until it does. {error.hint}")
                    return OllamaUpstream(address)
    from core.serve.embedded import open_embedded

    return open_embedded(loop.store, home, config, loop.categories)


@contextmanager
def _switching_every(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _logging(access_log: bool) -> Iterator[None]:
    """Requests go to standard output where that is wanted; what uvicorn tells of itself and of bad requests nowhere."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    requests = logging.getLogger("uvicorn.access")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    requests.setLevel(logging.INFO)
    requests.propagate = False
    if access_log:
        requests.addHandler(handler)
    try:
        yield
    finally:
        requests.removeHandler(handler)
