"""A model made ready to learn: loading, adapter, optimizer, and how both go to a checkpoint and come back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from core.errors import ModelError, RunError
from core.train import checkpoints
from core.train.config import TrainSettings
from core.train.data import Example
from core.train.loss import check_output_layer
from core.train.memory import out_of_memory

_NO_INFLUENCE: Final = ("quantize", "ab_prompts", "save_every")  # settings that do not change what is learned
_LOOK_SECONDS: Final = 0.3
_MOMENTS: Final = ("exp_avg", "exp_avg_sq", "step")


@dataclass(slots=True)
class State:
    """What a checkpoint keeps beside the tensors. Data order, dropout and learning rate follow from `step` alone.

    `threads` are those of the first start: another number would sum in another order.
    `loss` is that of the last step, `base_loss` the validation loss before the first; None while there is none.
    """

    step: int = 0
    token_budget: int = 0
    threads: int = 0
    tokens: int = 0
    loss: float | None = None
    base_loss: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    stale_evaluations: int = 0


@dataclass(slots=True)
class Session:
    """The model at work; `parameters` are the trainable ones, by name."""

    settings: TrainSettings
    device: torch.device
    model: Any
    optimizer: torch.optim.AdamW
    parameters: dict[str, torch.nn.Parameter]
    pad_id: int
    bf16: bool
    state: State = field(default_factory=State)


def use_free_cores(wanted: int = 0) -> int:
    """Sets torch's threads to `wanted`, or to the physical cores that are idle right now, and returns their number.

    A thread too many on a busy core makes all others wait for it at every layer, which costs far more than it brings.
    OMP_NUM_THREADS overrules both.
    """
    import psutil

    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    if not wanted:
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cores = min(allowed, psutil.cpu_count(logical=False) or allowed)
        wanted = round(cores * (1.0 - psutil.cpu_percent(interval=_LOOK_SECONDS) / 100.0))
    torch.set_num_threads(max(1, wanted))
    return torch.get_num_threads()


def load_tokenizer(base: Path) -> Any:
    """The tokenizer of a model folder. Raises ModelError."""
    from transformers import AutoTokenizer

    with _loading(base):
        return AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)


def open_session(base: Path, settings: TrainSettings, tokenizer: Any, *, start: Path | None = None) -> Session:
    """The base model with an adapter on all its linear layers but the output, and its optimizer.

    The adapter is that of the file `start`, else a fresh one; the same seed gives the same. The base is frozen;
    adapters are float32. Raises ModelError, also for an adapter that does not fit.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and capable)
    with _loading(base):
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=torch.bfloat16 if bf16 else torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        ).to(device)
    model.config.use_cache = False
    model.eval()
    check_output_layer(model)
    torch.manual_seed(settings.seed)
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    size = sum(parameter.numel() for parameter in model.parameters())
    adapted: Any = get_peft_model(model, lora)
    if start is not None:
        _go_on_from(adapted, start)
    if settings.recomputes_activations(size):
        adapted.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    parameters = {name: value for name, value in adapted.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    return Session(
        settings,
        device,
        adapted,
        optimizer,
        parameters,
        int(pad_id),
        bf16,
        State(token_budget=settings.token_budget, threads=torch.get_num_threads()),
    )


def _go_on_from(adapted: Any, start: Path) -> None:
    """Loads the tensors of an older adapter; every one of them must find its place, and none may be left fresh."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(start)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"The adapter {start} cannot be read: {error}", hint="Begin with a fresh adapter.") from error
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if {name: value.shape for name, value in tensors.items()} != {name: value.shape for name, value in own.items()}:
        raise ModelError(
            f"The adapter {start} does not fit this base model and these settings.",
            hint="Begin with a fresh adapter, or use the rank of the older version.",
        )
    set_peft_model_state_dict(adapted, tensors)


def identity(
    base: Path,
    settings: TrainSettings,
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    start: Path | None = None,
) -> str:
    """A hash of all that decides what is learned; a checkpoint is only gone on from by a run of the same identity."""
    chosen = {name: value for name, value in settings.to_mapping().items() if name not in _NO_INFLUENCE}
    digest = hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=16)
    digest.update((base / "config.json").read_bytes())
    if start is not None:
        digest.update(start.read_bytes())
    for examples in (train, validation):
        digest.update(b"|")
        for example in examples:
            digest.update(repr((example.ids, example.answer_start, example.weight)).encode())
    return f"b2:{digest.hexdigest()}"


def save(session: Session, folder: Path, learned: str) -> None:
    """Writes the checkpoint of the step that was finished last, and removes those no longer needed."""
    from peft import get_peft_model_state_dict

    moments = {
        f"{name}/{kind}": session.optimizer.state[parameter][kind]
        for name, parameter in session.parameters.items()
        for kind in _MOMENTS
        if parameter in session.optimizer.state
    }
    checkpoints.save(
        folder,
        session.state.step,
        adapter=_on_cpu(get_peft_model_state_dict(session.model, save_embedding_layers=False)),
        write_config=lambda place: _write_config(session.model, place),
        optimizer=_on_cpu(moments),
        state={"identity": learned, **asdict(session.state)},
    )
    checkpoints.prune(folder, best_step=session.state.best_step)


def resume(session: Session, folder: Path, learned: str, *, wanted: bool, note: Callable[[str], None]) -> None:
    """Brings a session to where the newest whole checkpoint left it; without one it stays at the start.

    Raises RunError when the checkpoints belong to other data or settings, or are there although not `wanted`.
    """
    from peft import set_peft_model_state_dict

    found = checkpoints.latest(folder, note)
    if found is None:
        return
    if not wanted:
        raise RunError(
            f"{folder} already holds checkpoints of a run.",
            hint="Resume that run, or start one with a folder of its own.",
        )
    if found.state.get("identity") != learned:
        raise RunError(
            "The checkpoints of this run were made with other settings, data or another base model.",
            hint="Start a new run; the old one stays as it is.",
        )
    values = {name: found.state[name] for name in asdict(session.state)}
    session.state = State(**values)
    use_free_cores(session.state.threads)
    if session.state.best_step and checkpoints.read(folder, session.state.best_step) is None:
        note(f"The best checkpoint, of step {session.state.best_step}, is damaged; the best of the rest will be taken.")
        session.state.best_loss, session.state.best_step = None, 0
    # A kill may have left half a checkpoint, and a run that was at its last step saves no other that would sweep it up.
    checkpoints.prune(folder, best_step=session.state.best_step)
    set_peft_model_state_dict(session.model, found.tensors(checkpoints.ADAPTER))
    moments = found.tensors(checkpoints.OPTIMIZER)
    if moments:
        for name, parameter in session.parameters.items():
            session.optimizer.state[parameter] = {
                kind: moments[f"{name}/{kind}"].to(session.device) for kind in _MOMENTS
            }


def memory_mb(device: torch.device) -> float:
    """Peak memory of the accelerator, or what this process holds in the computer's memory, in MiB."""
    import psutil

    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device)) / 2**20
    return float(psutil.Process().memory_info().rss) / 2**20


def _on_cpu(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _write_config(model: Any, place: Path) -> None:
    config = model.peft_config["default"].to_dict()
    # Where the base lies on this machine is nothing for a file that may be passed on.
    values = {**config, "base_model_name_or_path": "", "inference_mode": True}
    readable = {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}
    text = json.dumps(readable, indent=2, sort_keys=True, default=str)
    (place / checkpoints.ADAPTER_CONFIG).write_text(text, encoding="utf-8")


@contextmanager
def _loading(base: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        if out_of_memory(error):
            raise
        raise ModelError(
            f"The model in {base} cannot be loaded: {error}", hint="Download its folder again, or choose another base."
        ) from error
