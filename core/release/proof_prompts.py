"""The chats that a file is proved on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.backends.backend import Message
from core.categories import Category
from core.prove.evaluate import chat, messages_of
from storage import datasets
from storage.db import Store
from storage.rows import EventRow

PROOF_PROMPTS: Final = 40
"""More than are answered: some leave no room for an answer, and all go through tokenizer and template."""


def proof_prompts(
    store: Store, category: Category, held_out: Sequence[EventRow], dataset_id: int | None
) -> list[list[Message]]:
    """At most `PROOF_PROMPTS` chats: held-out prompts, filled up from the training part where the category is small."""
    chosen = [messages_of(event, category) for event in held_out[:PROOF_PROMPTS]]
    if dataset_id is not None:
        items = datasets.items(store, dataset_id, "train")[: PROOF_PROMPTS - len(chosen)]
        chosen += [chat(item.system, item.history, item.prompt) for item in items]
    return chosen
