"""TRL's side: a script as its documentation shows it, with its defaults or with the settings that make it fastest."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.training.workload import Job

# In float32 there is no mixed precision, and the weights are loaded as float32 too.
_FP32: Final[Mapping[str, Any]] = {"bf16": False, "model_init_kwargs": {"dtype": "float32"}}
_FAST: Final[Mapping[str, Any]] = {**_FP32, "gradient_checkpointing": False}
# Batches of similar lengths (`group_by_length`) would suit pairs too, but TRL knows no length of theirs.
_ONCE: Final[Mapping[str, Any]] = {**_FAST, "precompute_ref_log_probs": True}
VARIANTS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "sft": {
        "defaults": {},
        "defaults, fp32": _FP32,
        "packing": {**_FAST, "packing": True, "packing_strategy": "bfd"},
        "padding-free": {**_FAST, "padding_free": True, "max_length": None},
    },
    "dpo": {"defaults": {}, "defaults, fp32": _FP32, "reference once": _ONCE},
    "kto": {
        "defaults": {},
        "defaults, fp32": _FP32,
        "reference once": _ONCE,
    },
}
"""Settings of TRL's configuration by method and name. The first of each method are as they come."""


def work(job: Job, wait: Callable[[], None], tell: Callable[[float], None]) -> dict[str, Any]:
    """Trains, pass by pass; `wait` returns when the next may begin, `tell` hears its seconds."""
    from transformers import TrainerCallback

    class Gate(TrainerCallback):  # type: ignore[misc]
        started = 0.0

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            wait()
            self.started = time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            tell(time.perf_counter() - self.started)

    trainer = make(job, Gate())
    found = {"examples": len(trainer.train_dataset)}
    if "input_ids" in trainer.train_dataset.column_names:
        found["tokens"] = sum(len(ids) for ids in trainer.train_dataset["input_ids"])
    trainer.train()
    return found


def make(job: Job, callback: Any) -> Any:
    """A trainer for a job; the adapter is the one that this project would train."""
    import torch
    from datasets import Dataset  # type: ignore[import-untyped]
    from peft import LoraConfig

    from core.train.config import TrainSettings

    trl: Any = importlib.import_module("trl")  # without types
    make_config, make_trainer = (getattr(trl, f"{job.method.upper()}{kind}") for kind in ("Config", "Trainer"))
    settings = TrainSettings()
    options = {**VARIANTS[job.method][job.variant]}
    batch = job.batch
    if options.get("packing"):
        # Rows are filled up here: as many as hold the tokens of a batch, so that a step learns from as much.
        batch = max(1, round(batch * job.tokens / len(job.items) / job.max_length))
        options["max_length"] = job.max_length
    trainer = make_trainer(
        model=job.base,
        args=make_config(
            output_dir=job.folder,
            num_train_epochs=job.passes,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=job.accumulation,
            learning_rate=settings.learning_rate,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **options,
        ),
        train_dataset=Dataset.from_list(_rows(job)),
        peft_config=LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[callback],
        **_four_bits(job),
    )
    return trainer


def _four_bits(job: Job) -> dict[str, Any]:
    if (job.settings or {}).get("quantize_base") != "on":
        return {}
    import torch
    from transformers import BitsAndBytesConfig

    four = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": four}


def _rows(job: Job) -> list[dict[str, Any]]:
    def turn(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    rows = []
    for item in job.items:
        prompt, answer = turn("user", item["prompt"]), turn("assistant", item["target"])
        if job.method == "dpo":
            other = turn("assistant", item["rejected"])
            rows.append({"prompt": prompt, "chosen": answer, "rejected": other})
        elif job.method == "kto":
            rows.append({"prompt": prompt, "completion": answer, "label": item["desirable"]})
        else:
            rows.append({"prompt": prompt, "completion": answer})
    return rows


def first_step(job: Job) -> None:
    """Prints a line when the first step is done."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            print("stepped", flush=True)

    make(job, Watch()).train()


if __name__ == "__main__":
    first_step(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
