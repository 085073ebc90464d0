"""The loop that every training method shares: steps, evaluations, checkpoints, and how it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import torch

from core.errors import RunError
from core.train import checkpoints
from core.train.batches import epoch_steps
from core.train.config import TrainSettings
from core.train.data import Encoded, Encoder, Lesson
from core.train.dpo import Dpo
from core.train.eta import Eta
from core.train.kto import Kto
from core.train.loading import load_tokenizer, use_free_cores
from core.train.masked import masked_rows
from core.train.monitor import Monitor
from core.train.parallel import ALONE, Peers
from core.train.recipe import Recipe
from core.train.reference import NAME as REFERENCE
from core.train.reference import with_reference
from core.train.reporter import Progress
from core.train.scoring import Scorer
from core.train.search_space import improvement, objective
from core.train.session import identity, load_adapter, memory_mb, open_session, resume, save
from core.train.sft import Sft
from core.train.step import Work, check_evaluation, diverged, evaluate, learn
from storage.rows import DatasetItem

CHECKPOINTS: Final = "checkpoints"
ADAPTER: Final = "adapter"
RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = {"sft": Sft, "dpo": Dpo, "kto": Kto}


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn: the folder of a checked base model, the items in training order, the run's own folder.

    With `resume` the run goes on from its last checkpoint, or from the start when there is none. `start` is the adapter
    file of an older version that training goes on from instead of a fresh adapter. `watched` are items by the name of
    their set, on which the loss is measured before and after: what must not be forgotten.
    """

    base: Path
    train: Sequence[DatasetItem]
    validation: Sequence[DatasetItem]
    settings: TrainSettings
    folder: Path
    resume: bool = False
    start: Path | None = None
    scorer: Scorer | None = None
    watched: Mapping[str, Sequence[DatasetItem]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended: after its last step, on a plateau (early stopping), or because it was asked to.

    `adapter` is the folder of the best adapter, None after a stop. Losses are nats per answer token (of DPO and KTO the
    loss of the method), None without validation examples; `base_loss` and `base_score` are those before the first step,
    `best_loss` and `best_score` those of `best_step`. `tokens` counts real tokens of all steps, `seconds` the time of
    this call. `left_out` counts examples by the reason why they were not, or not wholly, learned from. `watched` gives
    the loss per answer token before and after, by set.
    """

    status: Literal["finished", "plateau", "stopped"]
    step: int
    total_steps: int
    adapter: Path | None
    best_step: int
    base_loss: float | None
    best_loss: float | None
    base_score: float | None
    best_score: float | None
    final_loss: float | None
    tokens: int
    seconds: float
    left_out: Mapping[str, int]
    watched: Mapping[str, tuple[float, float]]


def train(task: Task, progress: Progress, peers: Peers = ALONE) -> TrainResult:
    """Trains a LoRA adapter by the method of the task's settings and returns how that ended.

    Checkpoints stand whole under `folder/checkpoints/step-N` (the newest two and the best), the adapter of the best
    validation score, and loss where nothing is scored, under `folder/adapter` (without validation examples: the last).
    On a CPU a run that was stopped or killed and resumed ends with the same weights, bit for bit, as one that was not.
    `peers` are the processes that share the run; only the first of them writes.
    Raises ModelError for a model that cannot be trained, RunError when there is nothing to learn, the loss is no longer
    a number, memory does not suffice, or the disk is full.
    """
    started = time.monotonic()
    use_free_cores()
    with Monitor(gpu=torch.cuda.is_available()) as monitor:
        training = _Training(task, progress, peers, monitor)
        ended = training.work()
        return training.result(ended, time.monotonic() - started)


class _Training:
    """One run at work."""

    def __init__(self, task: Task, progress: Progress, peers: Peers, monitor: Monitor) -> None:
        self.task, self.progress, self.peers, self.monitor = task, progress, peers, monitor
        self.settings = settings = task.settings
        tokenizer = load_tokenizer(task.base)
        encoder = Encoder(tokenizer, settings.max_length)
        self.encoded = encoder.encode_items(task.train, settings.method)
        self._report_left_out()
        lessons = self.encoded.lessons
        validation = _plain(encoder.encode_items(task.validation, settings.method))
        self.watched = {name: _plain(encoder.encode_items(items)) for name, items in task.watched.items()}
        self.session = open_session(task.base, settings, tokenizer, start=task.start)
        self.total = settings.total_steps(len(lessons))
        self.learned = identity(task.base, settings, lessons, validation, start=task.start)
        self.folder = task.folder / CHECKPOINTS
        recipe = RECIPES[settings.method]()
        self.at = Work(self.session, recipe, peers, progress.note)
        self.lessons, self.validation = self._with_reference(recipe, lessons, validation)
        resume(self.session, self.folder, self.learned, wanted=task.resume, note=progress.note, peers=peers)
        costs = [lesson.cost for lesson in self.lessons]
        self.steps = [step for epoch in range(settings.epochs) for step in self._plan(costs, epoch)]
        self.evaluations = self._evaluations()
        self.eta = Eta([sum(costs[at] for at in step) for step in self.steps], self.evaluations)

    def _with_reference(
        self, recipe: Recipe, lessons: Sequence[Lesson], validation: Sequence[Lesson]
    ) -> tuple[Sequence[Lesson], Sequence[Lesson]]:
        if not recipe.needs_reference:
            return lessons, validation
        kept = self.task.folder / REFERENCE if self.peers.rank == 0 and self.peers.size == 1 else None
        known = with_reference(self.at, [*lessons, *validation], kept, self.learned)
        return known[: len(lessons)], known[len(lessons) :]

    def _plan(self, costs: Sequence[int], epoch: int) -> list[list[int]]:
        return epoch_steps(costs, per_step=self.settings.effective_batch, seed=self.settings.seed, epoch=epoch)

    def _evaluations(self) -> list[int]:
        if not self.validation:
            return []
        every = self.settings.evaluation_interval(len(self.lessons))
        return sorted({*range(every, self.total + 1, every), self.total})

    def work(self) -> Literal["finished", "plateau", "stopped"]:
        """Every step that is left to do, and their checkpoints."""
        state = self.session.state
        self.progress.note(
            f"Learning from {len(self.lessons)} examples in {self.total} steps on {self.session.device.type} "
            f"({state.threads} threads), from step {state.step} on."
        )
        for row in masked_rows(self.session.tokenizer, self.lessons, method=self.settings.method):
            self.progress.note(row)
        evaluations = set(self.evaluations)
        self._look_before()
        if state.step in evaluations and state.evaluated != state.step:  # a stop came while the model answered
            self.progress.step(state.step, self.total, self._evaluate())
        while not (finished := state.step == self.total or self._stale()) and not self._asked_to_stop():
            waited = self._cool_down()
            figures = self._step([self.lessons[index] for index in self.steps[state.step]], waited)
            evaluated = state.step in evaluations
            if evaluated:
                figures |= self._evaluate()
            left = self.eta.remaining(state.step)
            if left is not None:
                figures["eta_seconds"] = left
            self.progress.step(state.step, self.total, figures)
            if evaluated or state.step % self.settings.save_interval(len(self.lessons)) == 0:
                self._save()
        if not (self.folder / f"step-{state.step}").is_dir():
            self._save()
        if not finished or (state.step in evaluations and state.evaluated != state.step):
            return "stopped"
        return "finished" if state.step == self.total else "plateau"

    def _step(self, lessons: Sequence[Lesson], waited: float) -> dict[str, float]:
        session, state = self.session, self.session.state
        started = time.monotonic()
        rate = learning_rate(state.step, self.total, self.settings)
        for options in session.optimizer.param_groups:
            options["lr"] = rate
        told = learn(self.at, lessons)
        tokens = sum(lesson.tokens for lesson in lessons)
        state.step, state.loss, state.tokens = state.step + 1, told.loss, state.tokens + tokens
        self._check_loss(told.loss)
        seconds = time.monotonic() - started
        self.eta.stepped(state.step, seconds + waited)
        return {
            "loss": told.loss,
            "learning_rate": rate,
            "gradient_norm": told.norm,
            "tokens_per_second": tokens / max(1e-9, seconds),
            "memory_mb": memory_mb(session.device),
            **told.figures,
            **self.monitor.figures(),
        }

    def _check_loss(self, loss: float) -> None:
        """Ends a run whose training loss explodes, also where no validation example would show it."""
        state = self.session.state
        state.smooth_loss = loss if state.smooth_loss is None else 0.9 * state.smooth_loss + 0.1 * loss
        state.lowest_loss = min(
            state.smooth_loss, state.smooth_loss if state.lowest_loss is None else state.lowest_loss
        )
        if state.smooth_loss > 2.0 * max(0.0, state.lowest_loss) + 2.0:
            raise diverged(f"The loss has grown from {state.lowest_loss:.2f} to {state.smooth_loss:.2f}.")

    def _look_before(self) -> None:
        """How the model does before its first step; a resumed run knows."""
        state = self.session.state
        if state.base_loss is None and self.validation:
            started = time.monotonic()
            loss, _ = evaluate(self.at, self.validation)
            score, whole = self._score()
            self.eta.evaluated(time.monotonic() - started)
            if whole:
                state.base_loss, state.base_score = loss, score
            self.progress.step(state.step, self.total, _told(loss, score))
        for name, lessons in self.watched.items():
            if lessons and name not in state.watched:
                state.watched[name] = self._watched_loss(lessons)

    def _evaluate(self) -> dict[str, float]:
        state = self.session.state
        started = time.monotonic()
        loss, told = evaluate(self.at, self.validation)
        check_evaluation(self.session, loss)
        score, whole = self._score()
        if not whole:
            return {}
        state.evaluated = state.step
        self.eta.evaluated(time.monotonic() - started)
        gained = improvement(loss, state.base_loss or 0.0)
        # A model none of whose answers can be judged, where known answers can, is no better than one that scores 0.
        value = objective(None if self.task.scorer is None else score or 0.0, gained)
        if state.best_value is None or value > state.best_value:
            state.best_value, state.best_loss, state.best_score = value, loss, score
            state.best_step, state.stale_evaluations = state.step, 0
        else:
            state.stale_evaluations += 1
        return _told(loss, score) | ({"eval_accuracy": told["accuracy"]} if "accuracy" in told else {})

    def _score(self) -> tuple[float | None, bool]:
        """The score, and whether it is whole: a stop may break it off.

        Only the first process lets the model answer; the others wait for the score.
        """
        if self.task.scorer is None:
            return None, True
        first = self.peers.rank == 0
        found = self.task.scorer(self.session, self.progress.should_stop) if first else None
        score: float | None = self.peers.share(found)
        return score, score is not None or not self._asked_to_stop()

    def _watched_loss(self, lessons: Sequence[Lesson]) -> float:
        return evaluate(replace(self.at, recipe=Sft()), lessons)[0]

    def _stale(self) -> bool:
        patience = self.settings.early_stopping_patience
        return 0 < patience <= self.session.state.stale_evaluations

    def _asked_to_stop(self) -> bool:
        return self.peers.any(self.progress.should_stop())

    def _cool_down(self) -> float:
        limit = self.settings.max_temperature
        return self.monitor.cool_down(limit, self.progress.should_stop, self.progress.note)

    def _save(self) -> None:
        if self.peers.rank == 0:
            save(self.session, self.folder, self.learned)

    def result(self, ended: Literal["finished", "plateau", "stopped"], seconds: float) -> TrainResult:
        """The outcome; a run that ended by itself publishes its best adapter."""
        state, best = self.session.state, self.session.state.best_step or self.session.state.step
        adapter = self.task.folder / ADAPTER
        watched: dict[str, tuple[float, float]] = {}
        if ended != "stopped":
            self._back_to(best)
            watched = {name: (state.watched[name], self._watched_loss(self.watched[name])) for name in state.watched}
            if self.peers.rank == 0:
                told = {"base": self.task.base.name, "settings": self.settings.to_mapping(), "identity": self.learned}
                checkpoints.publish(self.folder / f"step-{best}", adapter, {**told, "step": best})
        return TrainResult(
            status=ended,
            step=state.step,
            total_steps=self.total,
            adapter=None if ended == "stopped" else adapter,
            best_step=best,
            base_loss=state.base_loss,
            best_loss=state.best_loss,
            base_score=state.base_score,
            best_score=state.best_score,
            final_loss=state.loss,
            tokens=state.tokens,
            seconds=seconds,
            left_out=self.encoded.counts,
            watched=watched,
        )

    def _back_to(self, step: int) -> None:
        """Takes the adapter of an earlier checkpoint, to measure it."""
        if step == self.session.state.step or not self.session.state.watched:
            return
        found = checkpoints.read(self.folder, step) if self.peers.rank == 0 else None
        load_adapter(self.session, self.peers.share_bytes(found.read(checkpoints.ADAPTER) if found else b""))

    def _report_left_out(self) -> None:
        considered = len(self.task.train)
        for reason, count in self.encoded.counts.items():
            self.progress.note(f"{count} of {considered} training examples: {reason}.")
        if not self.encoded.lessons:
            raise RunError(
                f"None of the {considered} training examples can be learned from.",
                hint="Label more examples, or raise the maximum length.",
            )


def _told(loss: float, score: float | None) -> dict[str, float]:
    return {"eval_loss": loss} if score is None else {"eval_loss": loss, "eval_score": score}


def _plain(encoded: Encoded) -> list[Lesson]:
    """Lessons to measure with: each counts alike."""
    return [replace(lesson, weight=1.0) for lesson in encoded.lessons]


def learning_rate(step: int, total: int, settings: TrainSettings) -> float:
    """The rate of the step after `step` finished ones.

    A linear rise from 1/w to 1 of the peak over w warm-up steps, then a half cosine towards 0 (Loshchilov and Hutter,
    arXiv 1608.03983, without restarts).
    """
    warmup = math.ceil(settings.warmup_ratio * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
