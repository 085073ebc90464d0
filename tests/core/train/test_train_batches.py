from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from core.train.attention import Span
from core.train.batches import WINDOW_STEPS, collate, epoch_steps, micro_batches
from core.train.data import Example, Lesson

LENGTHS = st.lists(st.integers(2, 400), min_size=1, max_size=150)


@given(lengths=LENGTHS, per_step=st.integers(1, 12), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_every_example_once_and_the_order_kept_within_a_window(
    lengths: list[int], per_step: int, seed: int, epoch: int
) -> None:
    steps = epoch_steps(lengths, per_step=per_step, seed=seed, epoch=epoch)
    flat = [index for step in steps for index in step]
    assert sorted(flat) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // per_step)
    assert max(map(len, steps)) - min(map(len, steps)) <= 1
    assert max(map(len, steps)) <= per_step
    assert all(abs(index - place) < WINDOW_STEPS * per_step for place, index in enumerate(flat))
    assert steps == epoch_steps(lengths, per_step=per_step, seed=seed, epoch=epoch)


def test_windows_follow_the_curriculum() -> None:
    steps = epoch_steps([7] * 64, per_step=4, seed=0, epoch=0)
    windows = [sorted(chain(*steps[at : at + WINDOW_STEPS])) for at in range(0, len(steps), WINDOW_STEPS)]
    assert windows == [list(range(at, at + 16)) for at in range(0, 64, 16)]
    assert steps != epoch_steps([7] * 64, per_step=4, seed=0, epoch=1)


@given(costs=LENGTHS, budget=st.integers(1, 2000))
def test_passes_keep_to_the_token_budget_and_are_few(costs: list[int], budget: int) -> None:
    groups = micro_batches(range(len(costs)), costs, token_budget=budget)
    assert sorted(index for group in groups for index in group) == list(range(len(costs)))
    filled = [sum(costs[index] for index in group) for group in groups]
    for group, tokens in zip(groups, filled, strict=True):
        assert len(group) == 1 or tokens <= budget
        assert [costs[index] for index in group] == sorted((costs[index] for index in group), reverse=True)
    # Best fit: a lesson opens a pass of its own only where it fits into none of those before it.
    for at, group in enumerate(groups):
        assert all(filled[earlier] + costs[group[0]] > budget for earlier in range(at))
    assert len(groups) < 2 + 2 * sum(min(cost, budget) for cost in costs) / budget


def test_the_fullest_pass_that_has_room_is_taken() -> None:
    costs = [60, 50, 40, 30, 9]
    assert micro_batches(range(5), costs, token_budget=100) == [[0, 2], [1, 3, 4]]
    assert micro_batches([4, 0, 2], costs, token_budget=69) == [[0, 4], [2]]
    assert micro_batches([0, 1], costs, token_budget=1) == [[0], [1]]
    assert micro_batches(range(4), [60, 55, 43, 2], token_budget=100) == [[0], [1, 2, 3]]


def test_similar_lengths_share_a_step_so_that_passes_are_full() -> None:
    lengths = [40 + (37 * at) % 200 for at in range(256)]
    steps = epoch_steps(lengths, per_step=8, seed=0, epoch=0)
    passes = sum(len(micro_batches(step, lengths, token_budget=512)) for step in steps)
    assert passes <= 1.4 * sum(lengths) / 512


def test_collate_fills_a_row_without_padding_and_predicts_exactly_the_answer_tokens() -> None:
    lessons = [Lesson((Example((5, 6, 7, 8), 2),), 0.5), Lesson((Example((1, 2), 1),), 2.0)]
    batch = collate(lessons)
    assert batch.ids.tolist() == [[5, 6, 7, 8, 1, 2]]
    assert batch.places.tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch.layout == (Span(slice(0, 4)), Span(slice(4, 6)))
    assert batch.predicted.tolist() == [1, 2, 4]
    assert batch.labels.tolist() == [7, 8, 2]
    assert batch.owners.tolist() == [0, 0, 1]
    assert batch.count == 2


def test_what_the_answers_to_one_prompt_share_stands_once() -> None:
    # The first tokens of both answers (8) are alike too, so that they are shared beyond the prompt.
    pair = Lesson((Example((5, 6, 7, 8, 1), 3), Example((5, 6, 7, 8, 2, 3), 3)), shared=4)
    batch = collate([Lesson((Example((9, 9), 1),)), pair])
    assert batch.ids.tolist() == [[9, 9, 5, 6, 7, 8, 1, 2, 3]]
    assert batch.ids.numel() == 2 + pair.cost
    assert batch.places.tolist() == [[0, 1, 0, 1, 2, 3, 4, 4, 5]]
    assert batch.predicted.tolist() == [0, 4, 5, 4, 5, 7]
    assert batch.labels.tolist() == [9, 8, 1, 8, 2, 3]
    assert batch.owners.tolist() == [0, 1, 1, 2, 2, 2]
    assert batch.layout[1:] == (Span(slice(2, 7)), Span(slice(7, 9), slice(2, 6)))
    assert batch.layout[2].places == [2, 3, 4, 5, 7, 8]


@given(
    st.lists(
        st.lists(st.integers(0, 2), min_size=3, max_size=9).flatmap(
            lambda ids: st.tuples(st.just(ids), st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(1, 2))
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_every_sequence_can_be_read_back_from_the_row(
    made: list[tuple[list[int], list[int], int]], rejected_alone: bool
) -> None:
    """Whatever is shared, a sequence's span holds its tokens and places, and every label follows its own prefix."""
    lessons = []
    for ids, other, start in made:
        shared = min(len(ids), len(other) + 2) - 1
        second = tuple(ids[:shared]) + tuple(other)
        lessons.append(Lesson((Example(tuple(ids), start), Example(second, start)), shared=shared))
    only = slice(1, 2) if rejected_alone else slice(None)
    batch = collate(lessons, only=only)
    wanted = [example for lesson in lessons for example in lesson.examples[only]]
    assert batch.count == len(batch.layout) == len(wanted)
    row, places = batch.ids[0], batch.places[0]
    for number, (span, example) in enumerate(zip(batch.layout, wanted, strict=True)):
        assert row[span.places].tolist() == list(example.ids)
        assert places[span.places].tolist() == list(range(len(example.ids)))
        mine = batch.owners == number
        assert batch.labels[mine].tolist() == list(example.ids[example.answer_start :])
        assert places[batch.predicted[mine]].tolist() == list(range(example.answer_start - 1, len(example.ids) - 1))
        own = torch.arange(row.numel())[span.places]
        assert set(batch.predicted[mine].tolist()) <= set(own.tolist())
    if not rejected_alone:
        assert row.numel() == sum(lesson.cost for lesson in lessons)
