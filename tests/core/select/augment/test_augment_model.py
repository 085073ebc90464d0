"""Paraphrases by a model: how it is asked, how its answer is read, and that the proof stands above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import pytest

from core.backends.backend import FinishReason, Generation, Message, Sampling
from core.errors import BackendError
from core.select.alike.vectors import vectors
from core.select.augment.augment import augment
from core.select.augment.rewording import BackendParaphraser, cleaned
from core.select.augment.source import Augmented, Method, Source
from core.validate.validator import Validation

PROMPT = "Sketch a book_store model without prices; it has book and loan."
GOOD = "A book_store model is wanted, without prices; it has book and loan."
SOURCE = Source(7, PROMPT, "erDiagram\n    book ||--o{ loan : has")


class Scripted:
    """A backend that gives the answers of a list in turn; an error among them is raised."""

    name = "scripted"

    def __init__(self, *answers: str | BackendError, reason: FinishReason = "stop") -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Sampling]] = []
        self._reason = reason

    def generate(self, model: str, messages: Sequence[Message], sampling: Sampling) -> Generation:
        self.asked.append((messages[-1].content, sampling))
        answer = self.answers.pop(0)
        if isinstance(answer, BackendError):
            raise answer
        return Generation(answer, 10, 10, 0.1, self._reason)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def made(backend: Scripted, method: Method = "model", source: Source = SOURCE) -> Augmented:
    return augment(
        [source],
        validate=lambda *_: Validation(90.0, True),
        embed=vectors,
        methods=[method],
        model=BackendParaphraser(backend, "m"),
        seed=1,
    )


def test_a_good_paraphrase_is_taken_and_the_model_is_told_what_to_keep() -> None:
    backend = Scripted(f'Here is the reworded request: "{GOOD}"')
    found = made(backend)
    assert [(item.prompt, item.origin) for item in found.items] == [(GOOD, "model")]
    told, sampling = backend.asked[0]
    assert "book_store, book, loan" in told
    assert PROMPT in told
    assert sampling.temperature > 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOOD.replace("without", "with"), "negation changed"),
        (GOOD.replace("book_store", "bookstore"), "names changed"),
        (GOOD.replace("book and loan", "loan and book has loan"), "names changed"),
        ("", "no answer"),
        ("erDiagram\n book ||--o{ loan : has", "names changed"),
        (PROMPT.upper(), "known prompt"),
    ],
)
def test_what_is_not_proved_is_asked_for_once_more_and_then_left(answer: str, reason: str) -> None:
    backend = Scripted(answer, GOOD)
    found = made(backend)
    assert found.refused == {reason: 1}
    assert [item.prompt for item in found.items] == [GOOD]
    backend = Scripted(answer, answer)
    assert made(backend).items == []
    assert backend.answers == []


def test_there_and_back_are_two_calls_of_which_the_second_does_not_see_the_prompt() -> None:
    backend = Scripted("Ein Modell für book_store …", GOOD)
    found = made(backend, "back_translation")
    assert [item.origin for item in found.items] == ["back_translation"]
    assert "German" in backend.asked[0][0]
    assert PROMPT not in backend.asked[1][0]
    assert "Ein Modell für book_store" in backend.asked[1][0]


def test_a_chat_and_a_translation_are_not_reworded() -> None:
    turn = Source(1, PROMPT, SOURCE.target, history=[{"role": "user", "content": "hi"}])
    words = Source(1, f"Translate: {PROMPT}", SOURCE.target)
    for source in (turn, words):
        backend = Scripted()
        assert made(backend, source=source).items == []
        assert backend.asked == []


def test_without_a_model_its_methods_make_nothing() -> None:
    found = augment(
        [SOURCE], validate=lambda *_: Validation(90.0, True), embed=vectors, methods=["model", "back_translation"]
    )
    assert found.items == []


def test_one_refused_prompt_is_passed_over_but_a_server_that_is_gone_ends_it() -> None:
    refused = BackendError("too long")
    assert made(Scripted(refused, "yes", GOOD)).items[0].prompt == GOOD
    with pytest.raises(BackendError, match="gone"):
        made(Scripted(refused, BackendError("gone")))


def test_an_answer_that_was_cut_off_is_none() -> None:
    assert made(Scripted(GOOD, GOOD, reason="length")).items == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("  Draw it. ", "Draw it."),
        ("<think>hm</think>\nDraw it.", "Draw it."),
        ("<think>never ends", ""),
        ("Sure! Here's a paraphrase: Draw it.", "Draw it."),
        ("```text\nDraw it.\n```", "Draw it."),
        ("“Draw it.”", "Draw it."),
        ('"Draw" and "it"', '"Draw" and "it"'),
        ("Draw it: now.", "Draw it: now."),
    ],
)
def test_the_wording_in_an_answer(answer: str, text: str) -> None:
    assert cleaned(answer) == text
