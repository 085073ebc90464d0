"""Exports that are a folder: the data beside the file that the tool reads first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_TAGS: Final = {
    "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt", "system_tag": "system",
    "observation_tag": "observation", "function_tag": "function_call",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folder:
    """`data` is the name of the data file, `files` writes the others from the name of the format."""

    data: str
    files: Callable[[str], Mapping[str, str]]


def _dataset_info(entry: Mapping[str, Any]) -> Callable[[str], Mapping[str, str]]:
    def files(_: str) -> Mapping[str, str]:
        shared = {"file_name": "data.json", "formatting": "sharegpt", "tags": _TAGS}
        return {"dataset_info.json": json.dumps({"finetune_tui": {**shared, **entry}}, indent=2) + "\n"}

    return files


def _axolotl_sft(_: str) -> Mapping[str, str]:
    return {"dataset.yaml": _yaml(("type: chat_template", "field_messages: messages", "roles_to_train: [assistant]"))}


def _axolotl_dpo(_: str) -> Mapping[str, str]:
    fields = ("type: chat_template.default", "field_messages: messages", "field_chosen: chosen")
    return {"dataset.yaml": "rl: dpo\n" + _yaml((*fields, "field_rejected: rejected"))}


def _yaml(lines: tuple[str, ...]) -> str:
    """The part of an axolotl configuration that names the data; the model and the rest are the user's."""
    return "datasets:\n  - path: data.jsonl\n    ds_type: json\n" + "".join(f"    {line}\n" for line in lines)


_COLUMNS: Final = {"messages": "conversations", "system": "system"}
FOLDERS: Final[Mapping[str, Folder]] = {
    "llama-factory": Folder("data.json", _dataset_info({"columns": _COLUMNS})),
    "llama-factory-dpo": Folder(
        "data.json",
        _dataset_info({"ranking": True, "columns": {**_COLUMNS, "chosen": "chosen", "rejected": "rejected"}}),
    ),
    "llama-factory-kto": Folder("data.json", _dataset_info({"columns": {**_COLUMNS, "kto_tag": "kto_tag"}})),
    "axolotl": Folder("data.jsonl", _axolotl_sft),
    "axolotl-dpo": Folder("data.jsonl", _axolotl_dpo),
}
