"""A model made ready to learn: loading, adapter, optimizer, and how both go to a checkpoint and come back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from core.errors import ModelError, RunError
from core.train import attention, checkpoints
from core.train.config import TrainSettings
from core.train.data import Lesson
from core.train.loading import compute_type, first_device, load_model, parameters_of, use_free_cores
from core.train.loss import check_output_layer
from core.train.memory import return_freed_memory
from core.train.optimizer import make_optimizer, restore, state_tensors
from core.train.parallel import ALONE, Peers

# Settings that do not change what is learned.
_NO_INFLUENCE: Final = ("quantize", "ab_prompts", "save_every", "max_temperature", "processes")
_TENSORS: Final = (checkpoints.ADAPTER, checkpoints.OPTIMIZER)
_FIRST_SCALE: Final = 2.0**14  # of the loss in float16, so that small gradients do not vanish


@dataclass(slots=True)
class State:
    """What a checkpoint keeps beside the tensors. Data order, dropout and learning rate follow from `step` alone.

    `threads` are those of the first start: another number would sum in another order.
    `loss` is that of the last step, `base_loss` the validation loss before the first; None while there is none.
    `evaluated` is the step of the last whole evaluation; `best_value` is the objective at `best_step` (see
    `core.train.search_space.objective`). `scale` and `scaled_steps` are those of the loss in float16, `skipped` the
    steps in a row that found no finite gradient there. `smooth_loss` is a running mean of the loss, `lowest_loss` the
    least that it has been. `watched` are the losses before the first step on what must not be forgotten.
    """

    step: int = 0
    token_budget: int = 0
    threads: int = 0
    tokens: int = 0
    loss: float | None = None
    base_loss: float | None = None
    base_score: float | None = None
    best_value: float | None = None
    best_loss: float | None = None
    best_score: float | None = None
    best_step: int = 0
    stale_evaluations: int = 0
    evaluated: int = 0
    scale: float = 0.0
    scaled_steps: int = 0
    skipped: int = 0
    smooth_loss: float | None = None
    lowest_loss: float | None = None
    watched: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """The model at work; `parameters` are the trainable ones, by name, `dtype` is what the base computes in."""

    settings: TrainSettings
    device: torch.device
    model: Any
    tokenizer: Any
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    parameters: dict[str, torch.nn.Parameter]
    dtype: torch.dtype
    state: State = field(default_factory=State)

    @property
    def pad_id(self) -> int:
        """A token to fill rows with."""
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        return int(pad if pad is not None else end or 0)

    def autocast(self) -> torch.autocast:
        """Inside it the base computes in its own type, adapters being float32."""
        half = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype if half else torch.bfloat16, enabled=half)

    @contextmanager
    def inference(self) -> Iterator[Any]:
        """The model as `generate` wants it: padded rows, a cache, nothing kept for a gradient, no dropout."""
        training = self.model.training
        base = self.model.get_base_model()
        checkpointing = base.is_activation_checkpointing
        self.model.eval()
        base.set_attn_implementation("sdpa" if base._supports_sdpa else "eager")
        if checkpointing:
            base.gradient_checkpointing_disable()
        try:
            with torch.inference_mode(), self.autocast():
                yield self.model
        finally:
            base.set_attn_implementation(attention.NAME)
            if checkpointing:
                base.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.train(training)


def open_session(base: Path, settings: TrainSettings, tokenizer: Any, *, start: Path | None = None) -> Session:
    """The base model with an adapter on all its linear layers but the output, and its optimizer.

    The adapter is that of the file `start`, else a fresh one; the same seed gives the same. The base is frozen, its
    linear layers in 4-bit NF4 where the settings say so (Dettmers et al., QLoRA, arXiv 2305.14314); adapters are
    float32, and nothing else is. Raises ModelError, also for an adapter that does not fit.
    """
    device = first_device()
    dtype = compute_type(settings, device)
    model = load_model(base, settings, device, dtype)
    check_output_layer(model)
    torch.manual_seed(settings.seed)
    size = parameters_of(base)
    from core.train.lora import with_adapter  # not before the model is there: loading it imports peft, and faster

    adapted = with_adapter(model, settings)
    if start is not None:
        _go_on_from(adapted, start)
    if settings.recomputes_activations(size):
        return_freed_memory()
        adapted.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    parameters = {name: value for name, value in adapted.named_parameters() if value.requires_grad}
    for parameter in parameters.values():
        parameter.data = parameter.data.float()
    return Session(
        settings,
        device,
        adapted,
        tokenizer,
        make_optimizer(parameters, settings, device),
        torch.amp.GradScaler(device.type, init_scale=_FIRST_SCALE, enabled=dtype == torch.float16),
        parameters,
        dtype,
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
    train: Sequence[Lesson],
    validation: Sequence[Lesson],
    *,
    start: Path | None = None,
) -> str:
    """A hash of all that decides what is learned; a checkpoint is only gone on from by a run of the same identity."""
    chosen = {name: value for name, value in settings.to_mapping().items() if name not in _NO_INFLUENCE}
    digest = hashlib.blake2b(json.dumps(chosen, sort_keys=True).encode(), digest_size=16)
    digest.update((base / "config.json").read_bytes())
    if start is not None:
        digest.update(start.read_bytes())
    for lessons in (train, validation):
        digest.update(b"|")
        for lesson in lessons:
            told = [(example.ids, example.answer_start) for example in lesson.examples]
            digest.update(repr((told, lesson.weight, lesson.desirable)).encode())
    return f"b2:{digest.hexdigest()}"


def save(session: Session, folder: Path, learned: str) -> None:
    """Writes the checkpoint of the step that was finished last, and removes those no longer needed."""
    from peft import get_peft_model_state_dict

    if session.scaler.is_enabled():
        kept = session.scaler.state_dict()
        session.state.scale, session.state.scaled_steps = float(kept["scale"]), int(kept["_growth_tracker"])
    checkpoints.save(
        folder,
        session.state.step,
        adapter=_on_cpu(get_peft_model_state_dict(session.model, save_embedding_layers=False)),
        write_config=lambda place: _write_config(session.model, place),
        optimizer=state_tensors(session.optimizer, session.parameters),
        state={"identity": learned, **asdict(session.state)},
    )
    checkpoints.prune(folder, best_step=session.state.best_step)


def resume(
    session: Session, folder: Path, learned: str, *, wanted: bool, note: Callable[[str], None], peers: Peers = ALONE
) -> None:
    """Brings a session to where the newest whole checkpoint left it; without one it stays at the start.

    Only the first process of a run reads its folder. Raises RunError when the checkpoints belong to other data or
    settings, or are there although not `wanted`.
    """
    found = _checkpoint(folder, learned, wanted=wanted, note=note) if peers.rank == 0 else None
    told = peers.share(None if found is None else dict(found.state))
    if told is None:
        return
    session.state = State(**{name: told.get(name, value) for name, value in asdict(session.state).items()})
    use_free_cores(session.state.threads)
    if found is not None and session.state.best_step and checkpoints.read(folder, session.state.best_step) is None:
        note(f"The best checkpoint, of step {session.state.best_step}, is damaged; the best of the rest will be taken.")
        session.state.best_value = session.state.best_loss = session.state.best_score = None
        session.state.best_step = 0
    if found is not None:
        # A kill may have left half a checkpoint, and a run that was at its last step saves no other that would sweep
        # it up.
        checkpoints.prune(folder, best_step=session.state.best_step)
    files = {name: peers.share_bytes(found.read(name) if found else b"") for name in _TENSORS}
    _restore(session, files[checkpoints.ADAPTER], files[checkpoints.OPTIMIZER])


def _checkpoint(
    folder: Path, learned: str, *, wanted: bool, note: Callable[[str], None]
) -> checkpoints.Checkpoint | None:
    found = checkpoints.latest(folder, note)
    if found is not None and not wanted:
        raise RunError(
            f"{folder} already holds checkpoints of a run.",
            hint="Resume that run, or start one with a folder of its own.",
        )
    if found is not None and found.state.get("identity") != learned:
        raise RunError(
            "The checkpoints of this run were made with other settings, data or another base model.",
            hint="Start a new run; the old one stays as it is.",
        )
    return found


def _restore(session: Session, adapter: bytes, optimizer: bytes) -> None:
    from safetensors.torch import load

    load_adapter(session, adapter)
    restore(session.optimizer, session.parameters, load(optimizer))
    if session.scaler.is_enabled() and session.state.scale:
        own = session.scaler.state_dict()
        told = {"scale": session.state.scale, "_growth_tracker": session.state.scaled_steps}
        session.scaler.load_state_dict({**own, **told})


def load_adapter(session: Session, adapter: bytes) -> None:
    """Takes the adapter of a checkpoint, given as the bytes of its safetensors file."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load

    set_peft_model_state_dict(session.model, load(adapter))


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
