"""One GGUF file loaded by llama.cpp. Imported only in the child process: native code may take its process with it."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
import numpy.typing as npt
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from core.backends.child_process import RefusedRequest
from core.backends.llamacpp_adapting import Adapters
from core.backends.llamacpp_draw import greedy_sampler, sampler_of, see_prompt
from core.backends.llamacpp_embedding import EmbeddingContext
from core.backends.llamacpp_logprobs import LogProbs
from core.backends.safe_text import SafeText

# Prompts are decoded in slices of this many tokens. Whole slices shared with the previous prompt are kept, and only
# those: a slice is always computed with the same shapes, so an answer never depends on what was asked before.
SLICE = 128
TINY_MODEL_BYTES = 64 << 20
# Threads of llama.cpp wait for each other by spinning, many times a text: beside a busy process, a small embedding
# model on every core is tens of times slower than on one.
SMALL_EMBEDDER_BYTES = 256 << 20


def default_threads(model_bytes: int, tiny: int = TINY_MODEL_BYTES) -> int:
    """One thread for a tiny model, where handing work over costs more than it saves; else every physical core."""
    import psutil

    return 1 if model_bytes < tiny else (psutil.cpu_count(logical=False) or 1)


class LoadedModel:
    """A model and its context. Not thread-safe."""

    def __init__(self, path: Path, *, num_ctx: int, threads: int | None) -> None:
        if not path.is_file():
            raise RefusedRequest(f"There is no model file {path}.")
        self.size = path.stat().st_size
        self._threads = threads
        parameters = native.llama_model_default_params()
        self._model = native.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise RefusedRequest(f"llama.cpp cannot read {path.name}: it is damaged, cut short, or of an unknown kind.")
        self._vocab = native.llama_model_get_vocab(self._model)
        self.n_vocab = int(native.llama_vocab_n_tokens(self._vocab))
        context = native.llama_context_default_params()
        context.n_ctx = min(num_ctx, native.llama_model_n_ctx_train(self._model))
        context.n_batch = context.n_ubatch = SLICE
        context.n_threads = context.n_threads_batch = threads or default_threads(self.size)
        context.no_perf = True
        self._context = native.llama_init_from_model(self._model, context)
        if not self._context:
            native.llama_model_free(self._model)
            raise RefusedRequest(f"There is not enough memory to run {path.name} with a context of {context.n_ctx}.")
        self.n_ctx = int(native.llama_n_ctx(self._context))
        self._memory = native.llama_get_memory(self._context)
        self._kept: list[int] = []
        self._adapters = Adapters(self._model, self._context)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        if "_embedding" in self.__dict__:
            self._embedding.close()
        native.llama_free(self._context)
        native.llama_model_free(self._model)

    def use_adapter(self, path: str | None) -> None:
        """Answer with this adapter (a GGUF file) on top of the model, or without one."""
        if self._adapters.use(path):
            self._kept = []

    # -- words and tokens

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (native.llama_token * room)()
            count = native.llama_tokenize(self._vocab, data, len(data), tokens, room, add_special, parse_special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            room = 64
            while True:
                buffer = ctypes.create_string_buffer(room)
                count = native.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
                if count >= 0:
                    break
                room = -count
            known = self._pieces[token] = buffer.raw[:count]
        return known

    def end_tokens(self) -> list[int]:
        return [token for token in range(self.n_vocab) if native.llama_vocab_is_eog(self._vocab, token)]

    def special_tokens(self) -> dict[str, int]:
        """Ids (−1 where there is none) and the two switches (0 or 1)."""
        return {
            "bos": int(native.llama_vocab_bos(self._vocab)),
            "eos": int(native.llama_vocab_eos(self._vocab)),
            "pad": int(native.llama_vocab_pad(self._vocab)),
            "add_bos": int(native.llama_vocab_get_add_bos(self._vocab)),
            "add_eos": int(native.llama_vocab_get_add_eos(self._vocab)),
            "vocabulary": self.n_vocab,
        }

    @cached_property
    def _formatter(self) -> Any:
        template = native.llama_model_chat_template(self._model, None)
        if not template:
            raise RefusedRequest("The model file carries no chat template.")

        def text_of(token: int) -> str:
            return "" if token < 0 else native.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")

        special = self.special_tokens()
        return Jinja2ChatFormatter(
            template=template.decode("utf-8"), eos_token=text_of(special["eos"]), bos_token=text_of(special["bos"])
        )

    def render(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool) -> str:
        """The prompt that the file's own chat template makes of the messages."""
        import jinja2

        formatter = self._formatter
        formatter.add_generation_prompt = add_generation_prompt
        try:
            return str(formatter(messages=list(messages)).prompt)
        except (jinja2.TemplateError, ValueError) as error:
            raise RefusedRequest(f"The chat template of the model refuses these messages: {error}") from error

    # -- running

    def generate(self, messages: Sequence[Mapping[str, str]], sampling: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a Generation."""
        answer = self.stream(messages, sampling)
        while True:
            try:
                next(answer)
            except StopIteration as end:
                return dict(end.value)

    def stream(
        self, messages: Sequence[Mapping[str, str]], sampling: Mapping[str, Any]
    ) -> Generator[str, None, dict[str, Any]]:
        """Yields after each slice of the prompt and each token the text that is sure by then, often none; returns the
        fields of a Generation. It may be closed after any of them."""
        started = time.perf_counter()
        prompt = self.tokenize(self.render(messages, add_generation_prompt=True), add_special=False, parse_special=True)
        sampler = sampler_of(sampling, self.n_vocab)
        safe = SafeText(sampling["stop"])
        logprobs = LogProbs(self.n_vocab)
        text: list[str] = []
        drawn, ended = 0, False
        with contextlib.closing(self._run(prompt, sampler, int(sampling["max_tokens"]), logprobs)) as run:
            for token in run:
                if token is None:
                    yield ""
                elif not (ended := native.llama_vocab_is_eog(self._vocab, token)):
                    drawn += 1
                    text.append(safe.push(self.piece(token)))
                    yield text[-1]
                    if safe.stopped:
                        break
        text.append(safe.finish())
        yield text[-1]
        return {
            "text": "".join(text),
            "prompt_tokens": len(prompt),
            "completion_tokens": drawn,
            "seconds": time.perf_counter() - started,
            "finish_reason": "stop" if ended or safe.stopped else "length",
            "mean_logprob": logprobs.mean(),
        }

    def greedy(self, prompt: Sequence[int], max_tokens: int) -> list[int]:
        """The most likely continuation, its end token included where it comes before max_tokens."""
        return [token for token in self._run(list(prompt), greedy_sampler(), max_tokens) if token is not None]

    def logits(self, tokens: Sequence[int], start: int, stop: int) -> npt.NDArray[np.float32]:
        """Scores of the next token after tokens `start` to `stop`, [stop - start, n_vocab].

        Whole slices before `start` that are still in the context are not computed again, so that asking for one range
        after the other costs as much as asking for all at once.
        """
        if not 0 <= start < stop <= len(tokens) <= self.n_ctx:
            raise RefusedRequest(f"Tokens {start} to {stop} of {len(tokens)} do not fit a context of {self.n_ctx}.")
        at = self._keep_shared(tokens[: start - start % SLICE])
        self._kept = []
        scores = np.empty((stop - start, self.n_vocab), np.float32)
        batch = native.llama_batch_init(SLICE, 0, 1)
        try:
            while at < stop:
                part = tokens[at : at + SLICE]
                batch.n_tokens = len(part)
                for i, token in enumerate(part):
                    batch.token[i], batch.pos[i], batch.logits[i] = token, at + i, at + i >= start
                    batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                self._decode(batch)
                first = max(at, start)
                asked = min(at + len(part), stop) - first
                if asked > 0:
                    rows = np.ctypeslib.as_array(native.llama_get_logits(self._context), (asked, self.n_vocab))
                    scores[first - start : first - start + asked] = rows
                at += len(part)
        finally:
            native.llama_batch_free(batch)
        self._kept = list(tokens[: at - at % SLICE])
        return scores

    @cached_property
    def _embedding(self) -> EmbeddingContext:
        return EmbeddingContext(self._model, self._threads or default_threads(self.size, SMALL_EMBEDDER_BYTES))

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One unit vector a text, [len(texts), dimensions]."""
        return self._embedding.rows([self.tokenize(text, add_special=True, parse_special=False) for text in texts])

    def _decode(self, batch: Any) -> None:
        code = native.llama_decode(self._context, batch)
        if code != 0:
            self._kept = []
            native.llama_memory_clear(self._memory, True)
            raise RuntimeError(f"llama_decode ended with code {code}")

    def _keep_shared(self, prompt: Sequence[int]) -> int:
        """How many tokens, in whole slices, this prompt shares with what is in the context; the rest is taken out."""
        same = 0
        for old, new in zip(self._kept, prompt, strict=False):
            if old != new:
                break
            same += 1
        same -= same % SLICE
        if not same or not native.llama_memory_seq_rm(self._memory, 0, same, -1):
            same = 0
            native.llama_memory_clear(self._memory, False)
        return same

    def _prefill(self, prompt: list[int]) -> Iterator[None]:
        """Brings the prompt into the context, slice by slice, keeping those it shares with the one before."""
        same = self._keep_shared(prompt[:-1])
        self._kept = []
        for start in range(same, len(prompt), SLICE):
            part = prompt[start : start + SLICE]
            cells = (native.llama_token * len(part))(*part)  # the batch only points at them
            self._decode(native.llama_batch_get_one(cells, len(part)))
            yield
        self._kept = prompt[: len(prompt) - len(prompt) % SLICE]

    def _run(
        self, prompt: list[int], sampler: Any, max_tokens: int, logprobs: LogProbs | None = None
    ) -> Generator[int | None]:
        """None after each slice of the prompt, then each token drawn, an end token last. Frees the sampler."""
        try:
            if not prompt or len(prompt) >= self.n_ctx:
                raise RefusedRequest(
                    f"The prompt has {len(prompt)} tokens; this model takes 1 to {self.n_ctx - 1} with room to answer."
                )
            yield from self._prefill(prompt)
            see_prompt(sampler, prompt)
            cell = (native.llama_token * 1)()
            batch = native.llama_batch_get_one(cell, 1)
            for left in range(min(max_tokens, self.n_ctx - len(prompt)), 0, -1):
                if logprobs is not None:
                    logprobs.see(native.llama_get_logits_ith(self._context, -1))
                cell[0] = token = native.llama_sampler_sample(sampler, self._context, -1)
                if logprobs is not None:
                    logprobs.took(token)
                yield token
                if native.llama_vocab_is_eog(self._vocab, token):
                    break
                if left > 1:
                    self._decode(batch)
        finally:
            native.llama_sampler_free(sampler)
