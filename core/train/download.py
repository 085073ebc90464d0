"""Downloading a base model from the Hugging Face hub: only when somebody asked for that very model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import ModelError
from core.paths import write_whole
from core.train.base_model import check_model_folder
from core.train.presets import PRESETS, BaseModel, is_hub_id, safe_name

if TYPE_CHECKING:
    from core.paths import Home

# Nothing that would have to be run, and the weights once: some repositories hold them in a second layout as well.
WANTED: Final = ("*.safetensors", "*.json", "tokenizer*", "*.jinja")
UNWANTED: Final = ("*/*", "consolidated*", "*.py", "*.bin", "*.pt", "*.pth")
_OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON: Final = frozenset({"1", "on", "yes", "true"})


def download_base(name: str, home: Home, *, snapshot: Callable[..., Any] | None = None) -> BaseModel:
    """Downloads a preset's model or a hub id into `models/base/<name>`, checked; one that broke off goes on.

    `snapshot` stands in for `huggingface_hub.snapshot_download`. Raises ModelError with the next step where the name is
    unknown, the hub is switched off or does not give the model, or what came cannot be trained from.
    """
    preset = PRESETS.get(name.strip().lower())
    hub_id = preset.hub_id if preset is not None else name.strip()
    if preset is not None and not hub_id:
        raise ModelError(f"{preset.name} is part of the product.", hint="There is nothing to download: train with it.")
    if not is_hub_id(hub_id):
        raise ModelError(
            f"{name!r} is neither a preset nor an id of the Hugging Face hub.",
            hint=f"Write OWNER/NAME, or one of: {', '.join(sorted(PRESETS))}.",
        )
    switched = next((one for one in _OFFLINE if os.environ.get(one, "").strip().lower() in _ON), None)
    if switched is not None:
        raise ModelError(
            f"{switched} is set, which forbids every download.",
            title="Downloads are switched off",
            hint=f"Unset it for this one command: `env -u {switched} finetune-tui models --download {name}`.",
        )
    own = preset.name if preset is not None else safe_name(hub_id.partition("/")[2])
    folder = home.models / "base" / own
    _fetch(hub_id, folder, snapshot)
    if preset is not None and preset.chat_template and not _has_template(folder):
        write_whole(folder / "chat_template.jinja", preset.chat_template)
    check_model_folder(folder)
    return BaseModel(own, preset.title if preset is not None else hub_id, folder)


def _fetch(hub_id: str, folder: Path, snapshot: Callable[..., Any] | None) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    # Its bases are OSError and the error of the HTTP library under it, which differs between versions of the package.
    broken: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, ValueError)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        (snapshot or snapshot_download)(
            repo_id=hub_id, local_dir=folder, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED)
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{hub_id} is given out only to those who accepted its licence.",
            hint=f"Accept it at https://huggingface.co/{hub_id}, then log in with `hf auth login` and try again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The Hugging Face hub has no model {hub_id} that you may see.",
            hint="Check the spelling; for a private one log in with `hf auth login`.",
        ) from error
    except broken as error:
        raise ModelError(
            f"{hub_id} could not be downloaded: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            title="The download broke off",
            hint="Check the network and the free space, and run the same command again: it goes on where it stopped.",
        ) from error


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False
