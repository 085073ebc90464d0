"""Embedded llama.cpp: models served from their GGUF files, with no server to install.

llama.cpp runs in a child process (`core.backends.llamacpp_child` holds the protocol): a native crash costs one
request, not the program. The child is started by the first call, and again by the first call after a crash.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from core.backends.backend import Generation, Message, Piece, Sampling, turns_of
from core.backends.child_client import ChildClient, ChildStream

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class LlamaCppBackend:
    """Answers prompts from GGUF files; a model is the path of one, or of one with an adapter (`with_adapter`).

    threads: None takes one for a tiny model and every physical core otherwise. num_ctx: tokens of prompt and answer
    together, never more than the model was trained for. log: where the child writes its standard error; a temporary
    file where None.
    Deterministic: the same model, messages and sampling give the same answer, whatever was asked before.
    Calls from several threads are served one after the other. Every failure is a BackendError.
    """

    name = "llama.cpp"

    def __init__(self, *, threads: int | None = None, num_ctx: int = 4096, log: Path | None = None) -> None:
        self.num_ctx = num_ctx
        self._folder = tempfile.TemporaryDirectory(prefix="finetune-llamacpp-", ignore_cleanup_errors=True)
        self._child = ChildClient(
            "llama.cpp",
            "core.backends.llamacpp_child",
            str(num_ctx),
            str(threads or 0),
            log=log or Path(self._folder.name) / "log.txt",
            refusal_hint="Check the file and the request; `doctor` looks over every registered model.",
        )

    # -- the interface

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Answer a chat, rendered with the chat template that the GGUF file carries."""
        reply = self._call("generate", model, messages=turns_of(messages), sampling=asdict(sampling))
        return Generation(**reply)

    def stream(self, model: str, messages: Sequence[Message], sampling: Sampling) -> ChildStream[Piece]:
        """The same answer as `generate` gives, as it is drawn; the last piece carries it whole.

        The pieces' texts make up the answer: no piece breaks a character or holds a part of a stop string. Closing the
        stream (from any thread) or dropping it ends the answer within one token, or one slice of the prompt; the
        iteration then ends without a Generation. Other calls wait until it ends or is closed.
        """
        return self._child.stream(
            "stream",
            _piece,
            model=str(model),
            messages=turns_of(messages),
            sampling=asdict(sampling),
        )

    def close(self) -> None:
        """End the child, also in the middle of an answer (which then fails in its thread)."""
        self._child.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that holds the models; None before the first call and after the last."""
        return self._child.pid

    def embed(self, model: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors, float32 [len(texts), dimensions], pooled as the file says, else the mean over the tokens.

        Of a text longer than the model's context, or 512 tokens, the first part counts. Each text is computed by
        itself, so its vector never depends on the others.
        """
        from core.backends.vector_wire import unpacked

        return unpacked(self._call("embed", model, texts=list(texts)))

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
                messages=turns_of(messages),
                add_generation_prompt=add_generation_prompt,
            )
        )

    def logits(
        self, model: str, tokens: Sequence[int], start: int = 0, stop: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Scores of the next token after tokens `start` to `stop` of a text, float32 [stop - start, vocabulary].

        Ranges asked for in order cost as much as the whole text at once, which may be too large for the memory.
        """
        import numpy as np

        stop = len(tokens) if stop is None else min(stop, len(tokens))
        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=".npy") as file:
            self._call("logits", model, tokens=list(tokens), start=start, stop=stop, path=file.name)
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

    def _call(self, operation: str, model: str, **fields: object) -> Any:
        return self._child.call(operation, model=str(model), **fields)


def _piece(reply: Mapping[str, Any]) -> Piece:
    return Piece(reply["part"]) if "part" in reply else Piece("", Generation(**reply["ok"]))
