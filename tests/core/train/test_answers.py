"""Greedy answers of a model in training: that they are the model's own, and that asking changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import items

from core.errors import RunError
from core.train import answers
from core.train.answers import greedy_answers, prompt_tokens
from core.train.config import TrainSettings
from core.train.session import Session, open_session
from storage.rows import DatasetItem

ROOM = 24
BOOKS = items(7)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On busy cores the threads of so small a model wait for one another longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def session(base: Path, tokenizer: Any) -> Session:
    """A model that says something else to every prompt, and ends some of its answers early."""
    made = open_session(base, TrainSettings(), tokenizer)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.mul_(4.0)
        for parameter in made.parameters.values():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return made


def one_by_one(session: Session, item: DatasetItem, ends: set[int], room: int = ROOM) -> str:
    """The slow way: one row, no padding, no cache, the whole sequence anew for every token."""
    ids = prompt_tokens(session.tokenizer, item)
    start = len(ids)
    with session.inference() as model:
        while len(ids) < start + room:
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if token in ends:
                break
            ids.append(token)
    return str(session.tokenizer.decode(ids[start:], skip_special_tokens=True))


def texts(session: Session, asked: list[DatasetItem], **more: Any) -> list[str]:
    return [text for _, text in greedy_answers(session, asked, max_tokens=ROOM, **more)]


def test_a_padded_batch_with_a_cache_answers_as_each_prompt_alone(session: Session) -> None:
    expected = [one_by_one(session, item, {session.tokenizer.eos_token_id}) for item in BOOKS]
    assert len(set(expected)) > 3
    found = greedy_answers(session, BOOKS, max_tokens=ROOM)
    assert [item for item, _ in found] == BOOKS
    assert [text for _, text in found] == expected


def test_an_answer_ends_before_any_end_token_of_the_generation_settings(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = texts(session, BOOKS)
    ids = [session.tokenizer(text, add_special_tokens=False)["input_ids"] for text in whole]
    further = ids[0][3]  # a token of an answer: it ends there once it is an end token
    config = session.model.get_base_model().generation_config
    monkeypatch.setattr(config, "eos_token_id", [config.eos_token_id, further])
    ended = texts(session, BOOKS)
    assert ended == [one_by_one(session, item, {session.tokenizer.eos_token_id, further}) for item in BOOKS]
    assert ended != whole


def test_prompts_beyond_the_maximum_length_are_not_asked_and_no_answer_is_longer(session: Session) -> None:
    long = replace(BOOKS[0], prompt="order " * 600, position=99)
    assert [item for item, _ in greedy_answers(session, [long, BOOKS[1]], max_tokens=2)] == [BOOKS[1]]
    assert greedy_answers(session, BOOKS[:1], max_tokens=2)[0][1] == one_by_one(session, BOOKS[0], {2}, room=2)


def test_asking_changes_neither_mode_nor_threads_nor_random_generator_nor_weights(session: Session) -> None:
    torch.set_num_threads(2)
    session.model.train()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    weights = {name: value.clone() for name, value in session.parameters.items()}
    texts(session, BOOKS)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert session.model.training and all(module.training for module in session.model.modules())
    assert all(torch.equal(value, session.parameters[name]) for name, value in weights.items())
    assert all(value.requires_grad and value.grad is None for value in session.parameters.values())


def test_a_stop_is_heard_between_two_tokens_and_leaves_half_answers_out(session: Session) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    assert texts(session, BOOKS, should_stop=stop) == []
    assert asked < 8


def test_short_memory_means_fewer_at_once_and_the_same_answers(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = texts(session, BOOKS)
    sizes = []
    real = answers._Writer.written

    def short(self: Any, group: Any, limit: int) -> Any:
        sizes.append(len(group))
        if len(group) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, group, limit)

    monkeypatch.setattr(answers._Writer, "written", short)
    assert texts(session, BOOKS) == expected
    assert sizes[0] == len(BOOKS) and max(sizes[2:]) <= 2


def test_memory_for_not_even_one_answer_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(answers._Writer, "written", none)
    session.model.train()
    with pytest.raises(RunError, match="one answer") as caught:
        texts(session, BOOKS)
    assert "score_prompts" in caught.value.hint
    assert session.model.training


def test_a_larger_cache_for_each_token_means_fewer_rows(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with session.inference() as model:
        writer = answers._Writer(session, model, frozenset(), lambda: False)
        config = model.get_base_model().config
        each = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4
        monkeypatch.setattr(answers, "_CACHE_BYTES", 5 * each * 100)
        assert (writer.rows(100), writer.rows(200), writer.rows(10_000)) == (5, 2, 1)
        assert writer.limit(config.max_position_embeddings - 3, 50) == 3
