"""What the tests of training share: a tiny random Llama folder, examples, and a listener for the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.rows import DatasetItem, Split

if TYPE_CHECKING:
    import torch

    from core.train.config import Method, TrainSettings
    from core.train.data import Lesson
    from core.train.session import Session

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn|>{{ message['role'] }}\n"
    "{{ message['content'] | trim }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
CORPUS = (
    "Draw a diagram of customer and order and product and invoice and payment and book and author and loan.",
    "erDiagram\n  customer { int id }\n  order { int id }\n  CUSTOMER ||--o{ ORDER : places",
    "You draw diagrams. system user assistant",
)


def build_model(
    folder: Path, *, hidden: int = 32, feed_forward: int = 64, layers: int = 2, heads: int = 4, vocabulary: int = 384
) -> Path:
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True) for text in ("<|begin|>", "<|turn|>", "<|end|>", "<|pad|>")]
    raw.train_from_iterator(
        CORPUS * 4,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>", chat_template=TEMPLATE
    )
    torch.manual_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=hidden,
            intermediate_size=feed_forward,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            vocab_size=vocabulary,
            max_position_embeddings=2048,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=3,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass
class Listener:
    """Remembers what a recipe told, and asks for a stop once `stop_at` steps are done."""

    stop_at: int | None = None
    figures: dict[int, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    done: int = 0

    def step(self, step: int, total_steps: int, values: Mapping[str, float]) -> None:
        assert 0 <= step <= total_steps
        self.done = step
        self.figures.setdefault(step, {}).update(values)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def should_stop(self) -> bool:
        return self.stop_at is not None and self.done >= self.stop_at


def items(count: int, split: Split = "train", *, weight: float = 1.0) -> list[DatasetItem]:
    words = ["customer", "order", "product", "invoice", "payment", "book", "author", "loan"]
    made = []
    for at in range(count):
        chosen = [words[(at + step) % len(words)] for step in range(2 + at % 5)]
        made.append(
            DatasetItem(
                position=at,
                event_id=at,
                split=split,
                prompt=f"Draw a diagram of {' and '.join(chosen)}.",
                target="erDiagram\n" + "\n".join(f"  {word} {{ int id }}" for word in chosen),
                system="You draw diagrams." if at % 2 else "",
                weight=weight,
                difficulty=0.1,
                stage="easy",
            )
        )
    return made


def pairs(count: int, split: Split = "train", *, weight: float = 1.0) -> list[DatasetItem]:
    """`items`, each with a worse answer to the same prompt."""
    return [
        replace(item, rejected=f"erDiagram\n  loan {{ int {item.target[12:17]} }}")
        for item in items(count, split, weight=weight)
    ]


def thumbs(count: int, split: Split = "train", *, weight: float = 1.0) -> list[DatasetItem]:
    """Every other one a worse answer that was not liked."""
    return [
        replace(item, target=item.target if item.position % 2 else item.rejected, desirable=bool(item.position % 2))
        for item in pairs(count, split, weight=weight)
    ]


def items_of(method: Method, count: int, split: Split = "train", *, weight: float = 1.0) -> list[DatasetItem]:
    """Items that the method can learn from."""
    return {"sft": items, "dpo": pairs, "kto": thumbs}[method](count, split, weight=weight)


def opened(base: Path, settings: TrainSettings, made: list[DatasetItem]) -> tuple[Session, list[Lesson]]:
    """A session on the tiny model and the lessons of these items, with their reference where the method needs one."""
    from core.train.data import Encoder
    from core.train.loading import load_tokenizer
    from core.train.parallel import ALONE
    from core.train.reference import with_reference
    from core.train.session import open_session
    from core.train.step import Work
    from core.train.trainer import RECIPES

    tokenizer = load_tokenizer(base)
    session = open_session(base, settings, tokenizer)
    lessons = list(Encoder(tokenizer, settings.max_length).encode_items(made, settings.method).lessons)
    recipe = RECIPES[settings.method]()
    if recipe.needs_reference:
        lessons = with_reference(Work(session, recipe, ALONE, print), lessons, None, "")
    return session, lessons


def shake(parameters: Mapping[str, torch.Tensor], *, seed: int = 3, scale: float = 0.05) -> None:
    """Random values, the same for the same names: an adapter that does something."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    for name in sorted(parameters):
        value = parameters[name]
        value.data.copy_(torch.randn(value.shape, generator=chance) * scale)


def adapter_of(folder: Path) -> dict[str, torch.Tensor]:
    """The adapter that a run has published."""
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return loaded
