"""Embedded llama.cpp: models served from their GGUF files, with no server to install.

llama.cpp runs in a child process (`core.backends.llamacpp_child` holds the protocol): a native crash costs one
request, not the program. The child is started by the first call, and again by the first call after a crash.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from core.backends.backend import Generation, Message, Sampling
from core.backends.child_process import command, environment, log_tail
from core.errors import BackendError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOG_LIMIT_BYTES = 1 << 20
CLOSE_SECONDS = 3.0


class LlamaCppBackend:
    """Answers prompts from GGUF files.

    threads: None takes one for a tiny model and every physical core otherwise. num_ctx: tokens of prompt and answer
    together, never more than the model was trained for. log: where the child writes its standard error; a temporary
    file where None.
    Deterministic: the same model, messages and sampling give the same answer, whatever was asked before.
    Calls from several threads are served one after the other. Every failure is a BackendError.
    """

    name = "llama.cpp"

    def __init__(self, *, threads: int | None = None, num_ctx: int = 4096, log: Path | None = None) -> None:
        self._threads = threads
        self.num_ctx = num_ctx
        self._folder = tempfile.TemporaryDirectory(prefix="finetune-llamacpp-", ignore_cleanup_errors=True)
        self._log = log or Path(self._folder.name) / "log.txt"
        self._log_start = 0
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    # -- the interface

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answer a chat, rendered with the chat template that the GGUF file carries."""
        reply = self._call(
            "generate", model, messages=[asdict(message) for message in messages], sampling=asdict(sampling)
        )
        return Generation(**reply)

    def close(self) -> None:
        """End the child, also in the middle of an answer (which then fails in its thread)."""
        self._closed = True
        self._end()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that holds the models; None before the first call and after the last."""
        return self._child.pid if self._child else None

    # -- what a proof looks at

    def tokenize(self, model: str, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of a text; add_special adds what the file says (BOS), parse_special reads `<…>` tokens as such."""
        return list(self._call("tokenize", model, text=text, add_special=add_special, parse_special=parse_special))

    def render(self, model: str, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        """The prompt that the file's own chat template makes of the messages."""
        return str(
            self._call(
                "render",
                model,
                messages=[asdict(message) for message in messages],
                add_generation_prompt=add_generation_prompt,
            )
        )

    def logits(self, model: str, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Scores of the next token after each given one, float32 [len(tokens), vocabulary]."""
        import numpy as np

        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=".npy") as file:
            self._call("logits", model, tokens=list(tokens), path=file.name)
            loaded: npt.NDArray[np.float32] = np.load(file.name, allow_pickle=False)
            return loaded

    def greedy(self, model: str, tokens: Sequence[int], max_tokens: int) -> list[int]:
        """The most likely continuation of a prompt of token ids, the end token last where it came in time."""
        return list(self._call("greedy", model, tokens=list(tokens), max_tokens=max_tokens))

    def end_tokens(self, model: str) -> list[int]:
        """Every token at which llama.cpp ends an answer."""
        return list(self._call("end_tokens", model))

    def special_tokens(self, model: str) -> dict[str, int]:
        """bos, eos, pad (−1: none), add_bos, add_eos (0 or 1), vocabulary (size)."""
        return dict(self._call("special_tokens", model))

    # -- the child

    def _call(self, operation: str, model: str, **fields: object) -> Any:
        request = json.dumps({"op": operation, "model": str(model), **fields}).encode() + b"\n"
        with self._lock:
            if self._closed:
                raise BackendError("The model server was closed.", hint="Open it again to ask for more.")
            child = self._child or self._start()
            if self._closed:  # closed from another thread just before the start
                self._end()
                raise self._crash(operation, None)
            assert child.stdin is not None and child.stdout is not None
            line = b""
            try:
                with contextlib.suppress(OSError, ValueError):  # a broken or closed pipe: the reply is missing too
                    child.stdin.write(request)
                    child.stdin.flush()
                    line = child.stdout.readline()
            except BaseException:
                self._end()  # an interrupt: the reply of this request must not be read as that of the next
                raise
            if not line.endswith(b"\n"):
                code = self._end()
                raise self._crash(operation, code)
        reply = json.loads(line)
        if "error" in reply:
            raise BackendError(
                reply["error"],
                title="The model did not answer",
                hint="Check the file and the request; `doctor` looks over every registered model.",
            )
        return reply["ok"]

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._log.exists() or self._log.stat().st_size > LOG_LIMIT_BYTES
            with self._log.open("wb" if fresh else "ab") as log:
                self._log_start = log.tell()
                self._child = subprocess.Popen(
                    command("core.backends.llamacpp_child", str(self.num_ctx), str(self._threads or 0)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise BackendError(
                f"The process for llama.cpp could not be started: {error}.",
                hint="Check free memory and disk space, then try again.",
            ) from error
        return self._child

    def _end(self) -> int | None:
        """End and reap the child; the exit code, negative for a signal."""
        child, self._child = self._child, None
        if child is None:
            return None
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            child.stdin.close()
        try:
            code = child.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        with contextlib.suppress(OSError, ValueError):
            child.stdout.close()
        return code

    def _crash(self, operation: str, code: int | None) -> BackendError:
        if self._closed:
            return BackendError("The model server was closed during an answer.", hint="Open it again to ask for more.")
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        tail = log_tail(self._log, self._log_start)
        said = f" It last said:\n{tail}" if tail else " It left no message."
        return BackendError(
            f"llama.cpp {how} during {operation!r}.{said}",
            hint="The next request starts it afresh. If it happens again, check free memory and the model file.",
        )
