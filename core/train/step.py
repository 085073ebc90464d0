"""One optimizer step and one evaluation, whatever the method, and what happens when memory runs out in them."""

from __future__ import annotations

import gc
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

from core.errors import DivergedError, RunError
from core.train.batches import micro_batches
from core.train.data import Lesson
from core.train.memory import out_of_memory
from core.train.parallel import Peers
from core.train.recipe import Recipe, Totals
from core.train.session import Session

Result = TypeVar("Result")
DIVERGED: Final = 2.0  # times the validation loss of the untrained model, and one nat
_MOST_SKIPPED: Final = 20  # steps in a row without a finite gradient in float16


class _Full(Exception):
    """Memory ran out, here or in another process of the run."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every step needs. `note` takes sentences for the log of the run."""

    session: Session
    recipe: Recipe
    peers: Peers
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """What one step gave: the loss, the norm of its gradient before it was clipped, and figures of the method."""

    loss: float
    norm: float
    figures: dict[str, float]


def learn(work: Work, lessons: Sequence[Lesson]) -> Learned:
    """One optimizer step on these lessons. Raises RunError when it diverges or memory does not hold one lesson.

    What is learned does not depend on how the step is cut into passes or shared among processes.
    """
    return guarded(work, lessons, _learn)


def evaluate(work: Work, lessons: Sequence[Lesson]) -> tuple[float, dict[str, float]]:
    """The loss of the method on lessons that are not learned from, each counting alike, and its figures."""
    return guarded(work, lessons, _evaluate)


def _learn(work: Work, lessons: Sequence[Lesson]) -> Learned:
    session, peers = work.session, work.peers
    settings, state, parameters = session.settings, session.state, session.parameters.values()
    session.optimizer.zero_grad(set_to_none=True)
    session.model.train()
    # Dropout is a function of seed, step and process: nothing of the random generator has to be kept for a resume.
    told = f"{settings.seed}/{state.step}" + (f"/{peers.rank}" if peers.rank else "")
    torch.manual_seed(random.Random(told).getrandbits(63))
    own = peers.part(lessons)
    totals = _totals(work, own)

    def backward(group: Sequence[Lesson]) -> tuple[float, dict[str, float]]:
        part, figures = work.recipe.loss(session, group, totals)
        session.scaler.scale(part).backward()  # type: ignore[no-untyped-call]
        return float(part.detach()), figures

    loss, figures = _passes(work, own, backward)
    if peers.size > 1:
        peers.sum_gradients(parameters)
    session.scaler.unscale_(session.optimizer)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm))
    if not _usable(work, loss, norm):
        raise diverged(f"At step {state.step + 1} the loss or its gradient is no longer a number.")
    session.scaler.step(session.optimizer)
    session.scaler.update()
    return Learned(loss, norm if math.isfinite(norm) else 0.0, figures)


def _usable(work: Work, loss: float, norm: float) -> bool:
    """Whether to go on. In float16 a gradient that is too large is expected now and then: the step is left out."""
    state = work.session.state
    if math.isfinite(loss) and math.isfinite(norm):
        state.skipped = 0
        return True
    state.skipped += 1
    return work.session.scaler.is_enabled() and state.skipped <= _MOST_SKIPPED and math.isfinite(loss)


@torch.no_grad()
def _evaluate(work: Work, lessons: Sequence[Lesson]) -> tuple[float, dict[str, float]]:
    session = work.session
    session.model.eval()
    own = work.peers.part(lessons)
    totals = _totals(work, own)

    def measure(group: Sequence[Lesson]) -> tuple[float, dict[str, float]]:
        part, figures = work.recipe.loss(session, group, totals)
        return float(part), figures

    return _passes(work, own, measure)


def _totals(work: Work, own: Sequence[Lesson]) -> Totals:
    return work.peers.sums(_together(work, lambda: work.recipe.totals(work.session, own)))


def _passes(
    work: Work, own: Sequence[Lesson], one: Callable[[Sequence[Lesson]], tuple[float, dict[str, float]]]
) -> tuple[float, dict[str, float]]:
    """Sums what `one` gives over the passes of this process, and then over all processes."""
    costs = [lesson.cost for lesson in own]

    def all_passes() -> tuple[float, Counter[str]]:
        loss, figures = 0.0, Counter[str]()
        for group in micro_batches(range(len(own)), costs, token_budget=work.session.state.token_budget):
            part, told = one([own[index] for index in group])
            loss += part
            for name, value in told.items():
                figures[name] += value  # type: ignore[assignment]
        return loss, figures

    loss, figures = _together(work, all_passes)
    if work.peers.size == 1:
        return loss, dict(figures)
    # A process without a lesson in this step knows no figure's name.
    names = ("reward_margin", "reward_chosen", "reward_rejected", "accuracy") if work.recipe.needs_reference else ()
    summed = work.peers.sums({"loss": loss, **{name: figures[name] for name in names}})
    return summed.pop("loss"), summed


def _together(work: Work, attempt: Callable[[], Result]) -> Result:
    """What `attempt` gives, in all processes or in none: where memory runs out in one of them, all raise `_Full`."""
    full = False
    try:
        found = attempt()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        full = True
    if work.peers.any(full):
        raise _Full
    return found


def guarded(work: Work, lessons: Sequence[Lesson], attempt: Callable[[Work, Sequence[Lesson]], Result]) -> Result:
    """`attempt`, again with half the tokens in a pass whenever memory runs out; a step keeps its lessons."""
    session = work.session
    while True:
        try:
            return attempt(work, lessons)
        except (_Full, MemoryError, RuntimeError) as error:
            if not isinstance(error, _Full) and not out_of_memory(error):
                raise
            if session.state.token_budget < max(lesson.cost for lesson in lessons):
                raise RunError(
                    "The memory does not even hold one example in training.",
                    hint="Lower the maximum length or turn gradient checkpointing on, then start the run again.",
                ) from error
        # Outside the handler: the traceback holds the tensors of the failed pass.
        session.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if session.device.type == "cuda":
            torch.cuda.empty_cache()
        session.state.token_budget //= 2
        work.note(
            f"Out of memory: the batch is halved to {session.state.token_budget} tokens in one pass and the "
            f"accumulation doubled; a step still learns from {session.settings.effective_batch} examples."
        )


def check_evaluation(session: Session, value: float) -> None:
    """Raises RunError where the validation loss says that training has gone wrong."""
    base = session.state.base_loss
    if not math.isfinite(value):
        raise diverged("The validation loss is no longer a number.")
    if base is not None and value > DIVERGED * base + 1.0:
        raise diverged(f"The validation loss has grown from {base:.2f} to {value:.2f}.")


def diverged(what: str) -> DivergedError:
    """The end of a run whose loss exploded."""
    return DivergedError(what, hint="Start a new run with a lower learning rate, for example half of this one's.")
