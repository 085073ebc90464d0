"""What is looked at before a model that Ollama has made of a version's file counts as that version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any, Final

from core.backends.backend import Message, Sampling
from core.backends.ollama import options_of
from core.backends.ollama_api import OllamaApi, Shown
from core.backends.ollama_era import Era
from core.errors import BackendError
from core.release.go_template import GoTemplate, shapes
from core.release.local_model import Local

ANSWER_TOKENS: Final = 32
_GENERAL: Final = ("What can you do?", "Give a short example.", "List three things that matter most.")


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `detail` says what was seen."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model on a server has to be: file, sampling parameters, system prompt, template (as `show` tells it)."""

    file_sha256: str
    parameters: Mapping[str, Any]
    system: str
    template: str


class Checks:
    """Looks at a model by its name on a server. Raises BackendError where the server fails.

    go: the template that was given, where the server does not use the file's own.
    near_tie: by how much in logits a token may be less likely than the best one and yet be drawn, since two builds of
    llama.cpp do not sum in one order.
    """

    def __init__(
        self,
        api: OllamaApi,
        era: Era,
        name: str,
        wanted: Wanted,
        local: Local,
        *,
        go: GoTemplate | None,
        prompts: Sequence[Sequence[Message]],
        near_tie: float,
        num_ctx: int,
    ) -> None:
        self._api = api
        self._era = era
        self._name = name
        self._wanted = wanted
        self._local = local
        self._go = go
        self.file_sha256 = wanted.file_sha256
        """Of the file that the server has made, once it was looked at."""
        self._near_tie = near_tie
        self._num_ctx = num_ctx
        self._room = min(num_ctx, local.context)
        general = [[Message("user", text)] for text in _GENERAL]
        self._prompts = [prompt for prompt in (*prompts, *general) if self._fits(prompt)][: len(_GENERAL) + 1]

    def run(self) -> Iterator[Check]:
        """Every check in order, the cheap ones first; a caller may end at the first that failed."""
        shown = self._api.show(self._name)
        yield self._file(shown)
        yield self._parameters(shown)
        same = shown.system == self._wanted.system
        yield Check("system prompt", same, "as sent" if same else f"the server has {shown.system[:60]!a}")
        same = shown.template.strip() == self._wanted.template.strip()
        yield Check("template", same, "ours" if same else f"the server would use {shown.template[:60]!a}")
        yield self._prompt_check()
        yield self._answers()

    def _rendered(self, messages: Sequence[Message]) -> str:
        """The prompt that the server has to make, without the beginning token that it adds."""
        if self._go is not None:
            return self._go.render(messages)
        return self._local.render(messages).removeprefix(self._local.bos)

    def _file(self, shown: Shown) -> Check:
        found = self.file_sha256 = shown.modelfile_file_sha256
        if found == self._wanted.file_sha256:
            return Check("file", True, found)
        if self._era.rewrites_files and found:
            return Check("file", True, f"rewritten by Ollama {self._era.version}, as it does with every file: {found}")
        return Check("file", False, f"the server has made it of {found or 'no file'}")

    def _parameters(self, shown: Shown) -> Check:
        wrong = [
            f"{key} is {shown.parameters.get(key, [])} instead of {value}"
            for key, value in self._wanted.parameters.items()
            if not _same(value, shown.parameters.get(key, []))
        ]
        return Check("parameters", not wrong, "; ".join(wrong) or "as sent")

    def _as_sent(self, messages: Sequence[Message]) -> list[Message]:
        """The chat that the model gets: its own system prompt first where the chat has none."""
        own = bool(self._wanted.system) and messages[0].role != "system"
        return [*([Message("system", self._wanted.system)] if own else ()), *messages]

    def _fits(self, messages: Sequence[Message]) -> bool:
        """Whether the template takes such a chat, and it leaves room for an answer."""
        try:
            return self._local.count(self._as_sent(messages)) + ANSWER_TOKENS < self._room
        except BackendError:
            return False

    def _prompt_check(self) -> Check:
        """Does the server make the same prompt of a chat? Read where it tells, else by the number of tokens."""
        if not self._prompts:
            return Check("prompts", False, f"no prompt leaves room for an answer in {self._room} tokens")
        chats = [*self._prompts, *filter(self._fits, shapes())] if self._era.knows_render_only else []
        for messages in chats:
            expected = self._rendered(self._as_sent(messages))
            told = self._api.render_only(self._name, messages)
            if told is None:
                break
            if told.removeprefix(self._local.bos) != expected:
                if self._go is not None:
                    return Check("prompts", False, f"the server writes {told[:80]!a} instead of {expected[:80]!a}")
                break  # where the file's own template is used, what is told may not be what is run: the tokens decide
        else:
            if chats:
                return Check("prompts", True, f"{len(chats)} chats give the same prompt")
        return self._count_check()

    def _count_check(self) -> Check:
        messages = max(self._prompts, key=len)
        # Some versions leave out what they have in memory from the request before, so nothing may be.
        self._api.unload(self._name)
        told = self._api.chat(self._name, messages, options_of(Sampling(temperature=0.0, max_tokens=1), self._num_ctx))
        found, expected = told.get("prompt_eval_count"), self._local.count(self._as_sent(messages))
        detail = f"a prompt of {expected} tokens" + ("" if found == expected else f" has {found} on the server")
        return Check("prompts", found == expected, detail)

    def _answers(self) -> Check:
        """Are the most likely answers the embedded llama.cpp's? A token that is nearly as likely may take its place."""
        stop = tuple(self._wanted.parameters.get("stop", ()))
        sampling = Sampling(temperature=0.0, top_k=1, seed=1, max_tokens=ANSWER_TOKENS, stop=stop)
        same = 0
        for messages in self._prompts:
            told = self._api.chat(self._name, messages, options_of(sampling, self._num_ctx))
            text = str((told.get("message") or {}).get("content", ""))
            asked = self._as_sent(messages)
            expected = self._local.answer(asked, sampling)
            if text == expected:
                same += 1
            elif (gap := self._local.gap(asked, text)) > self._near_tie:
                words = f"the server says {text[:60]!a} instead of {expected[:60]!a}, by a gap of {gap:.2g}"
                return Check("answers", False, words)
        tied = len(self._prompts) - same
        return Check(
            "answers", True, f"{same} of {len(self._prompts)} are the same" + f", {tied} but for a tie" * (tied > 0)
        )


def _same(wanted: Any, found: Sequence[Any]) -> bool:
    values = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    if len(values) != len(found):
        return False
    return all(
        isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
        if isinstance(one, int | float) and isinstance(other, int | float)
        else one == other
        for one, other in zip(values, found, strict=True)
    )
