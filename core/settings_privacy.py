"""What is kept of a user's texts, how much of it, and what leaves this machine."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.config import Config, load_config
from core.hooks.settings import load_hooks
from core.paths import Home
from core.search.places import place_of
from core.serve.segments import folder_of, segments_in


@dataclass(frozen=True, slots=True)
class Privacy:
    """`leaves`: one sentence for each way by which texts or figures leave this machine, empty when there is none.

    `bytes`: how much is kept, by what it is.
    """

    sanitizes: bool
    leaves: tuple[str, ...]
    bytes: dict[str, int]
    waiting: int
    """Segments of the gateway's journal that are not recorded yet; they hold texts as they were."""


def privacy(home: Home) -> Privacy:
    """Looks at the settings and walks the home folder: seconds where many models are kept. Raises FinetuneError."""
    config = load_config(home)
    folder = folder_of(home)
    sizes = {
        "store": sum(size_of(home.store.with_name(home.store.name + end)) for end in ("", "-wal", "-shm")),
        "models": size_of(home.models),
        "runs": size_of(home.runs),
        "exports": size_of(home.exports),
        "refused imports": size_of(home.imports),
        "gateway journal": size_of(folder),
    }
    return Privacy(config.capture.sanitize, tuple(_leaves(home, config)), sizes, len(segments_in(folder)))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 when there is none. Links are not followed."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:  # gone in the meantime
                continue
    return total


def _leaves(home: Home, config: Config) -> Iterator[str]:
    for hook in load_hooks(home).values():
        if hook.url and not _is_here(urlsplit(hook.url).hostname or ""):
            yield f"The hook {hook.name} tells {hook.target} what happens in the loop."
        elif hook.command:
            yield f"The hook {hook.name} runs {hook.target} with what happens in the loop."
    if config.serve.ollama and not _is_here(urlsplit(_with_scheme(config.serve.ollama)).hostname or ""):
        yield f"Prompts and models go to Ollama at {_with_scheme(config.serve.ollama)}."
    if not _is_here(config.serve.host):
        yield f"The gateway answers other machines, at {config.serve.host}:{config.serve.port}."
    place = place_of(home, config.search.storage)
    if place.shared:
        yield f"Training settings and figures of searches go to {place.shown}."


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _is_here(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
