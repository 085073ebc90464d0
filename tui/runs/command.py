"""The command line that does what the form or a run does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from core.paths import Home
from storage.rows import RunRow
from tui.widgets.run_fields import RunRequest, typed

_OPTIONS: Final = (
    "method", "epochs", "learning_rate", "batch_size", "accumulation", "rank", "alpha", "max_length", "beta",
    "quantize_base", "precision", "optimizer", "score_prompts", "processes",
)  # fmt: skip
_USUAL: Final[Mapping[str, object]] = {"method": "sft", "processes": 1}


def train_command(
    home: Home, category: str, base: str, settings: Mapping[str, Any], *, seed: int = 0, start: str = ""
) -> str:
    """`finetune-tui train …`; settings that the command has no option for are those of config.toml."""
    from tui.cli.output import home_option_hint

    words = ["train", shlex.quote(category)]
    if base:
        words += ["--base", shlex.quote(base)]
    beta = () if settings.get("method", "sft") != "sft" else ("beta",)
    for name in _OPTIONS:
        value = settings.get(name)
        if value is None or value == "auto" or value == _USUAL.get(name) or name in beta:
            continue
        words += [f"--{name.replace('_', '-')}", shlex.quote(typed(value))]
    words += ["--seed", str(seed)] if seed else []
    words += ["--from", shlex.quote(start)] if start else []
    return f"finetune-tui{home_option_hint(home)} {' '.join(words)}"


def command_of_request(home: Home, request: RunRequest) -> str:
    """The command of what the form says."""
    return train_command(home, request.category, request.base, request.settings, seed=request.seed, start=request.start)


def command_of_run(home: Home, run: RunRow, start: str = "") -> str:
    """The command of a run that is there; `start` names the version that it went on from."""
    seed = run.settings.get("seed", 0)
    return train_command(home, run.category, run.base_model, run.settings, seed=int(seed), start=start)
