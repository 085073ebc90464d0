"""`train`, `resume` and `runs`: training from the command line, in a process that outlives the terminal."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import click

from core.errors import RunError
from core.loop import LearningLoop
from core.paths import Home
from core.prove.forgetting import describe
from core.train.config import METHODS, Optimizer, Precision, Switch
from core.train.launch import LOST_AFTER, is_alive, tail_log
from storage.rows import RunRow
from tui.cli.check import show_check
from tui.cli.output import ProgressLine, bar, home_option_hint, json_option, print_json, table, with_home
from tui.figures import brief, listed, told_left
from tui.text import plain
from tui.words import run_status, time_left

NUMBER = click.IntRange(1, 2**63 - 1)  # what the store can count


@click.command()
@click.argument("category")
@click.option("--base", help="Base model: a preset, a folder, a GGUF file or ollama:NAME (default: the category's).")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="Learn from answers (sft, the default), from preference pairs (dpo) or from thumbs up and down (kto).",
)
@click.option("--epochs", type=click.IntRange(1, 100), help="Passes over the training part.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Peak learning rate (dpo, kto: else a twentieth).",
)
@click.option("--batch-size", type=click.IntRange(1, 512), help="Examples in one forward pass.")
@click.option("--accumulation", type=click.IntRange(1, 512), help="Forward passes to one optimiser step.")
@click.option("--rank", type=click.IntRange(1, 512), help="LoRA rank r.")
@click.option("--alpha", type=click.IntRange(1, 1024), help="LoRA alpha; the update is scaled by alpha / r.")
@click.option("--max-length", type=click.IntRange(16, 131_072), help="Longest example in tokens.")
@click.option("--beta", type=click.FloatRange(1e-4, 10), help="How closely dpo and kto hold to where they start from.")
@click.option(
    "--quantize-base", type=click.Choice(get_args(Switch)), help="Hold the frozen base model in 4 bits (QLoRA)."
)
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Number format of the computation.")
@click.option("--optimizer", type=click.Choice(get_args(Optimizer)), help="AdamW, or with 8 bits for its state.")
@click.option(
    "--score-prompts",
    type=click.IntRange(0, 10_000),
    help="Validation prompts that are answered and scored at each evaluation; 0 looks at the loss only.",
)
@click.option("--processes", type=click.IntRange(1, 1_024), help="Processes that share each step.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of selection, order, dropout and A/B.")
@click.option("--limit", type=click.IntRange(1), help="Train on the most informative N examples only.")
@click.option(
    "--from", "start", metavar="VERSION", help="Go on from this version's adapter, with replay of its examples."
)
@click.option(
    "--check", is_flag=True, help="Queue nothing: show disk, memory, examples with their loss mask, and one step."
)
@click.option("--detach", is_flag=True, help="Start and return; watch with `finetune-tui runs`.")
@click.option("--hold", is_flag=True, help="Only make the run ready, to be resumed or launched by `accelerate`.")
@json_option
@with_home
def train(
    home: Home,
    category: str,
    base: str | None,
    seed: int,
    limit: int | None,
    start: str | None,
    check: bool,
    detach: bool,
    hold: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a new version of CATEGORY: select, train, evaluate, export, prove, and compare with what serves."""
    chosen = {key: value for key, value in settings.items() if value is not None}
    plan: dict[str, Any] = {"base": base, "settings": chosen, "seed": seed, "limit": limit, "start": start}
    with LearningLoop(home) as loop:
        if check:
            show_check(loop.check_run(category, **plan, note=_heard(as_json)), as_json=as_json)
            return
        run_id = loop.start_run(category, **plan, hold=hold, note=_heard(as_json))
        if not hold:
            _follow(loop, run_id, detach=detach, as_json=as_json)
        elif as_json:
            print_json(run_json(loop.run(run_id)))
        else:
            _tell_how_to_begin(loop, run_id)


def _tell_how_to_begin(loop: LearningLoop, run_id: int) -> None:
    pipeline = shlex.join(["-m", "core.pipeline", "--home", str(loop.home.root), "--run", str(run_id)])
    click.echo(
        f"Run {run_id} is ready, and nothing starts it by itself.\n"
        f"  here:                 finetune-tui{home_option_hint(loop.home)} resume {run_id}\n"
        f"  on several devices:   accelerate launch --multi_gpu --num_processes 2 {pipeline}\n"
        "  on several machines:  the same with accelerate's own options for them, on each; the store and the folder of "
        "the run belong on the first, the base model on all."
    )


def _heard(as_json: bool) -> Callable[[str], None]:
    """What is told before a run begins goes beside the result."""
    return lambda text: None if as_json else click.echo(plain(text), err=True)


@click.command()
@click.argument("run", type=NUMBER)
@click.option("--detach", is_flag=True, help="Start and return; watch with `finetune-tui runs`.")
@json_option
@with_home
def resume(home: Home, run: int, detach: bool, as_json: bool) -> None:
    """Go on with RUN from its last checkpoint, or from the stage that it had not finished."""
    with LearningLoop(home) as loop:
        row = loop.run(run)
        if row.status == "running" and not is_alive(row):
            click.echo(f"The process of run {run} is gone; it goes on within {LOST_AFTER:.0f} s …", err=True)
        loop.resume(run)
        _follow(loop, run, detach=detach, as_json=as_json)


def _follow(loop: LearningLoop, run_id: int, *, detach: bool, as_json: bool) -> None:
    if detach:
        if as_json:
            print_json(run_json(loop.run(run_id)))
        else:
            click.echo(
                f"Run {run_id} goes on by itself. Watch it: finetune-tui{home_option_hint(loop.home)} runs {run_id}"
            )
        return
    progress = ProgressLine(enabled=not as_json)
    try:
        run = loop.wait(run_id, lambda row: progress.show(describe_run(loop, row)))
    except KeyboardInterrupt:
        progress.clear()
        click.echo(f"\nRun {run_id} goes on by itself; stop it with: finetune-tui runs {run_id} --stop", err=True)
        raise
    progress.clear()
    if run.status != "finished":
        raise RunError(
            run.error or f"The run ended as {run.status}.",
            title=f"Run {run_id} is {run.status}",
            hint=run.hint or f"Go on with: finetune-tui{home_option_hint(loop.home)} resume {run_id}",
        )
    if as_json:
        print_json(run_json(run) | {"version": asdict(loop.version(run.version_id)) if run.version_id else None})
        return
    click.echo(f"✓ run {run_id} finished in {_seconds(run):.0f} s")
    if run.version_id is not None:
        version = loop.version(run.version_id)
        click.echo(f"  version {version.name}, {'proved' if version.proved else 'NOT proved'}")
        if told := describe(version.metrics):
            click.echo(f"  {told}")
        if test := loop.latest_test(version.id):
            click.echo(f"  {test['summary']}")
            if test["verdict"] == "promote":
                click.echo(f"  next: finetune-tui{home_option_hint(loop.home)} promote {version.name}")


def describe_run(loop: LearningLoop, run: RunRow) -> str:
    """Where a run stands, in one line: stage, bar, step, time left, last figures, the most telling first."""
    latest = loop.latest_metrics(run.id)
    learning = run.status != "queued" and run.stage == "training" and run.total_steps
    figures = brief(latest) if learning else []
    return "  ".join([_place(run, latest), *figures])


def _place(run: RunRow, latest: Mapping[str, float]) -> str:
    if run.status == "queued":
        return f"run {run.id} waits for its turn"
    if run.stage != "training" or not run.total_steps:
        return f"{run.stage} …"
    left = told_left(run, latest)
    if left is None and run.started_at and run.step:
        left = (time.time() - run.started_at) / run.step * (run.total_steps - run.step)
    line = f"training {bar(run.step / run.total_steps, 12)} {run.step}/{run.total_steps}"
    return line if left is None else f"{line}  {time_left(left)}"


@click.command()
@click.argument("run", type=NUMBER, required=False)
@click.option("--stop", is_flag=True, help="Ask the run to stop at its next step; it can be resumed.")
@click.option("--log", "log_lines", type=click.IntRange(1, 100_000), help="Also print the last N lines of its log.")
@json_option
@with_home
def runs(home: Home, run: int | None, stop: bool, log_lines: int | None, as_json: bool) -> None:
    """List the runs, or show RUN with its figures."""
    with LearningLoop(home) as loop:
        if run is None:
            if stop or log_lines:
                raise click.UsageError("--stop and --log need the number of a run, for example: runs 3 --stop")
            rows = loop.runs()
            if as_json:
                print_json([run_json(row) for row in rows])
            elif rows:
                click.echo(table(("run", "status", "stage", "category", "base", "step", "seconds"), map(_line, rows)))
            else:
                click.echo("No run yet. Start one: finetune-tui train CATEGORY")
            return
        row = loop.run(run)
        if stop:
            loop.stop(run)
            click.echo(f"Run {run} was asked to stop.", err=True)
            row = loop.run(run)
        latest = loop.latest_metrics(run)
        if as_json:
            print_json(run_json(row) | {"metrics": latest})
            return
        click.echo(f"run {row.id}: {run_status(row.status)}, stage {row.stage}, {row.category} on {row.base_model}")
        if row.status in ("queued", "running"):
            click.echo(f"  {_place(row, latest)}")
        for name, text in listed(latest):
            click.echo(f"  {name}: {text}")
        if row.error:
            click.echo(f"  ✗ {plain(row.error)}\n  → {plain(row.hint)}")
        if log_lines:
            click.echo("\n".join(plain(line) for line in tail_log(home, row, log_lines)))


def _line(run: RunRow) -> tuple[object, ...]:
    steps = f"{run.step}/{run.total_steps}" if run.total_steps else ""
    return (run.id, run_status(run.status), run.stage, run.category, run.base_model, steps, f"{_seconds(run):.0f}")


def _seconds(run: RunRow) -> float:
    return (run.finished_at or time.time()) - run.started_at if run.started_at else 0.0


def run_json(run: RunRow) -> dict[str, Any]:
    """A run as an object for programs."""
    return asdict(run)
