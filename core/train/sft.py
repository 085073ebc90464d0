"""Supervised fine-tuning with LoRA: the recipe from top to bottom. Runs in a worker process."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

import torch

from core.errors import RunError
from core.train import checkpoints
from core.train.batches import collate, epoch_steps, micro_batches
from core.train.config import TrainSettings
from core.train.data import Encoded, Encoder, Example
from core.train.loss import answer_losses
from core.train.memory import out_of_memory
from core.train.reporter import Progress
from core.train.session import Session, identity, load_tokenizer, memory_mb, open_session, resume, save, use_free_cores
from storage.rows import DatasetItem

Answer = TypeVar("Answer")
CHECKPOINTS: Final = "checkpoints"
ADAPTER: Final = "adapter"
DIVERGED: Final = 2.0  # times the validation loss of the untrained model, and one nat


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn: the folder of a checked base model, the items in training order, the run's own folder.

    With `resume` the run goes on from its last checkpoint, or from the start when there is none. `start` is the adapter
    file of an older version that training goes on from instead of a fresh adapter.
    """

    base: Path
    train: Sequence[DatasetItem]
    validation: Sequence[DatasetItem]
    settings: TrainSettings
    folder: Path
    resume: bool = False
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended. `adapter` is the folder of the best adapter, None after a stop.

    Losses are nats per answer token, None without validation examples; `base_loss` is that of the untrained model and
    `best_loss` that of `best_step`. `tokens` counts real tokens of all passes, `seconds` the time of this call.
    `left_out` counts examples by the reason why they were not, or not wholly, learned from.
    """

    status: Literal["finished", "stopped"]
    step: int
    total_steps: int
    adapter: Path | None
    best_step: int
    base_loss: float | None
    best_loss: float | None
    final_loss: float | None
    tokens: int
    seconds: float
    left_out: Mapping[str, int]


def train(task: Task, progress: Progress) -> TrainResult:
    """Trains a LoRA adapter on the answers of `task.train` and returns how that ended.

    Checkpoints stand whole under `folder/checkpoints/step-N` (the newest two and the best), the adapter of the best
    validation loss under `folder/adapter` (without validation examples: the last). On a CPU a run that was stopped or
    killed and resumed ends with the same weights, bit for bit, as one that was not.
    Raises ModelError for a model that cannot be trained, RunError when there is nothing to learn, the loss is no longer
    a number, memory does not suffice, or the disk is full.
    """
    started = time.monotonic()
    settings = task.settings
    use_free_cores()
    tokenizer = load_tokenizer(task.base)
    encoder = Encoder(tokenizer, settings.max_length)
    encoded, held_out = encoder.encode_items(task.train), encoder.encode_items(task.validation)
    examples, validation = encoded.examples, held_out.examples
    _report_left_out(encoded, len(task.train), progress)
    session = open_session(task.base, settings, tokenizer, start=task.start)
    lengths = [len(example.ids) for example in examples]
    total = settings.total_steps(len(examples))
    per_epoch = settings.steps_per_epoch(len(examples))
    learned = identity(task.base, settings, examples, validation, start=task.start)
    folder = task.folder / CHECKPOINTS
    resume(session, folder, learned, wanted=task.resume, note=progress.note)
    state = session.state
    progress.note(
        f"Learning from {len(examples)} examples in {total} steps on {session.device.type} "
        f"({state.threads} threads), from step {state.step} on."
    )
    if validation and state.base_loss is None:
        state.base_loss = _guarded(session, progress, _evaluate, validation)
        progress.step(state.step, total, {"eval_loss": state.base_loss})

    plan: list[list[int]] = []
    while not (finished := state.step == total or _stale(session)) and not progress.should_stop():
        epoch, position = divmod(state.step, per_epoch)
        if position == 0 or not plan:
            plan = epoch_steps(lengths, per_step=settings.effective_batch, seed=settings.seed, epoch=epoch)
        members = [examples[index] for index in plan[position]]
        step_started = time.monotonic()
        rate = learning_rate(state.step, total, settings)
        for options in session.optimizer.param_groups:
            options["lr"] = rate
        loss, norm = _guarded(session, progress, _learn, members)
        tokens = sum(len(example.ids) for example in members)
        state.step, state.loss, state.tokens = state.step + 1, loss, state.tokens + tokens
        figures = {
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "tokens_per_second": tokens / max(1e-9, time.monotonic() - step_started),
            "memory_mb": memory_mb(session.device),
        }
        evaluated = state.step % settings.evaluation_interval(len(examples)) == 0 or state.step == total
        if evaluated and validation:
            figures["eval_loss"] = _guarded(session, progress, _evaluate, validation)
            _judge(session, figures["eval_loss"])
        progress.step(state.step, total, figures)
        if evaluated or state.step % settings.save_interval(len(examples)) == 0:
            save(session, folder, learned)
    if not (folder / f"step-{state.step}").is_dir():
        save(session, folder, learned)

    best = state.best_step or state.step
    adapter = task.folder / ADAPTER
    if finished:
        training = {"base": task.base.name, "settings": settings.to_mapping(), "identity": learned, "step": best}
        checkpoints.publish(folder / f"step-{best}", adapter, training)
    return TrainResult(
        status="finished" if finished else "stopped",
        step=state.step,
        total_steps=total,
        adapter=adapter if finished else None,
        best_step=best,
        base_loss=state.base_loss,
        best_loss=state.best_loss,
        final_loss=state.loss,
        tokens=state.tokens,
        seconds=time.monotonic() - started,
        left_out=encoded.counts,
    )


def _report_left_out(encoded: Encoded, considered: int, progress: Progress) -> None:
    for reason, count in encoded.counts.items():
        progress.note(f"{count} of {considered} training examples: {reason}.")
    if not encoded.examples:
        raise RunError(
            f"None of the {considered} training examples can be learned from.",
            hint="Label more examples, or raise the maximum length.",
        )


def learning_rate(step: int, total: int, settings: TrainSettings) -> float:
    """The rate of the step after `step` finished ones.

    A linear rise from 1/w to 1 of the peak over w warm-up steps, then a half cosine towards 0 (Loshchilov and Hutter,
    arXiv 1608.03983, without restarts).
    """
    warmup = math.ceil(settings.warmup_ratio * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _learn(session: Session, members: Sequence[Example]) -> tuple[float, float]:
    """One optimizer step; returns the loss and the gradient norm before it was clipped.

    The loss is sum(weight * cross-entropy) / answer tokens over the whole step, so that it does not depend on how the
    step is cut into passes.
    """
    settings, state = session.settings, session.state
    session.optimizer.zero_grad(set_to_none=True)
    session.model.train()
    # Dropout is a function of seed and step: nothing of the random generator has to be kept for a resume.
    torch.manual_seed(random.Random(f"{settings.seed}/{state.step}").getrandbits(63))
    answers = sum(len(example.ids) - example.answer_start for example in members)
    loss = 0.0
    for group in _passes(session, members):
        losses, weights = _forward(session, group)
        part = (losses * weights).sum() / answers
        part.backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach())
    norm = float(torch.nn.utils.clip_grad_norm_(session.parameters.values(), settings.max_grad_norm))
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise _diverged(f"At step {state.step + 1} the loss or its gradient is no longer a number.")
    session.optimizer.step()
    return loss, norm


@torch.no_grad()
def _evaluate(session: Session, examples: Sequence[Example]) -> float:
    """Mean cross-entropy per answer token, every example counting alike."""
    session.model.eval()
    total, answers = 0.0, 0
    for group in _passes(session, examples):
        losses, _ = _forward(session, group)
        total, answers = total + float(losses.double().sum()), answers + len(losses)
    value = total / answers
    base = session.state.base_loss
    if not math.isfinite(value):
        raise _diverged("The validation loss is no longer a number.")
    if base is not None and value > DIVERGED * base + 1.0:
        raise _diverged(f"The validation loss has grown from {base:.2f} to {value:.2f}.")
    return value


def _passes(session: Session, examples: Sequence[Example]) -> list[list[Example]]:
    lengths = [len(example.ids) for example in examples]
    groups = micro_batches(range(len(examples)), lengths, token_budget=session.state.token_budget)
    return [[examples[index] for index in group] for group in groups]


def _forward(session: Session, group: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = collate(group, pad_id=session.pad_id).to(session.device)
    with torch.autocast(session.device.type, dtype=torch.bfloat16, enabled=session.bf16):
        return answer_losses(session.model.get_base_model(), batch), batch.weights


def _guarded(
    session: Session,
    progress: Progress,
    attempt: Callable[[Session, Sequence[Example]], Answer],
    examples: Sequence[Example],
) -> Answer:
    """`attempt`, again with half the tokens in a pass whenever memory runs out; a step keeps its examples."""
    while True:
        try:
            return attempt(session, examples)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if session.state.token_budget < max(len(example.ids) for example in examples):
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
        progress.note(
            f"Out of memory: the batch is halved to {session.state.token_budget} tokens in one pass and the "
            f"accumulation doubled; a step still learns from {session.settings.effective_batch} examples."
        )


def _diverged(what: str) -> RunError:
    return RunError(
        what,
        title="The training diverged",
        hint="Start a new run with a lower learning rate, for example half of this one's.",
    )


def _judge(session: Session, value: float) -> None:
    state = session.state
    if state.best_loss is None or value < state.best_loss:
        state.best_loss, state.best_step, state.stale_evaluations = value, state.step, 0
    else:
        state.stale_evaluations += 1


def _stale(session: Session) -> bool:
    patience = session.settings.early_stopping_patience
    return 0 < patience <= session.state.stale_evaluations
