"""One sentence for each setting that no section of `core.config_sections` describes: of a run, and of a category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TRAIN_HELP: Final[Mapping[str, str]] = {
    "method": "What is learned from: answers (sft), preference pairs (dpo), or lone thumbs (kto).",
    "epochs": "How often the whole batch is gone through.",
    "learning_rate": "How far one step moves the adapter, at its highest.",
    "batch_size": "How many full-length examples are held in memory at once.",
    "accumulation": "How many of these make one step of the optimizer.",
    "rank": "The rank of the LoRA adapter: how much it can learn.",
    "alpha": "The scale of the LoRA adapter; it acts as alpha / rank.",
    "dropout": "The share of the adapter's inputs that is left out at random while it learns.",
    "max_length": "The longest example, in tokens; a longer one is cut.",
    "warmup_ratio": "The share of all steps with a rising learning rate.",
    "weight_decay": "How strongly weights are drawn towards zero.",
    "max_grad_norm": "The longest gradient; a longer one is shortened to it.",
    "seed": "The same seed with the same data gives the same run.",
    "precision": "The number format that the model computes in.",
    "gradient_checkpointing": "Compute activations twice instead of keeping them: slower, in less memory.",
    "eval_every": "Steps between two evaluations; 0 leaves it to the length of the run.",
    "save_every": "Steps between two checkpoints; 0 leaves it to the length of the run.",
    "early_stopping_patience": "End after this many evaluations without a better model; 0 never.",
    "quantize": "The formats that a finished version is written in.",
    "ab_prompts": "The most held-out prompts that a finished version is tested on.",
    "beta": "How closely dpo and kto hold to the model that they start from.",
    "nll_weight": "The weight of the chosen answer's own likelihood in dpo.",
    "desirable_weight": "The weight of liked answers in kto.",
    "undesirable_weight": "The weight of disliked answers in kto.",
    "quantize_base": "Keep the frozen base model in 4 bits (QLoRA); auto where it would fill a third of a GPU.",
    "optimizer": "What moves the weights; adamw_8bit keeps its state in 8 bits.",
    "score_prompts": "How many validation prompts are answered and scored at each evaluation; 0 goes by the loss.",
    "max_temperature": "The temperature of the GPU in °C from which on a run pauses; 0 never.",
    "processes": "How many processes share every step.",
    "target_modules": "The linear layers that get an adapter, by the end of their names; empty for all but the output.",
}

CATEGORY_HELP: Final[Mapping[str, str]] = {
    "title": "What the category is called on the screens.",
    "complexity": "How hard the task is, from 0 to 1; part of how difficult each event counts.",
    "system_prompt": "What the model is told before every prompt; empty for nothing.",
    "base_model": "The base model that versions start from; empty for that of [train].",
    "validator": "What gives an output its score.",
    "success_score": "The score from which on an output counts as a success.",
    "min_tier": "The lowest tier of an event that is trained on.",
    "guidelines": "What a good output looks like, for whoever judges.",
    "preset": "The preset that the category belongs to.",
    "reward": "A reward function of your own, as module:function; empty for the built-in one.",
    "models": "Models of other programs whose requests at the gateway belong to the category.",
}

SECTION_HELP: Final[Mapping[str, str]] = {
    "general": "Names",
    "capture": "What is kept of what comes in",
    "select": "What is trained on",
    "train": "How a run learns",
    "publish": "How a published model answers",
    "ab": "When a candidate may be promoted",
    "loop": "What happens by itself",
    "review": "Judging in the app",
    "search": "The search for good training settings",
    "serve": "The gateway and the server behind it",
}

QUALITY_HELP: Final = "The weights of the parts of an event's quality, 0 to 1."
OPTION_HELP: Final = "Options of the validator; `finetune-tui categories validators` lists them."
