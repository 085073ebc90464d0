"""Names of models as Ollama writes them: `[host/][namespace/]model[:tag]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.errors import ModelError

HOST: Final = "registry.ollama.ai"
NAMESPACE: Final = "library"
TAG: Final = "latest"

_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,340}(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class OllamaName:
    """A whole name; `short` leaves out the host and namespace that go without saying, never the tag."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def short(self) -> str:
        """The name as `ollama list` shows it."""
        named = f"{self.model}:{self.tag}"
        if self.host.lower() != HOST:
            return f"{self.host}/{self.namespace}/{named}"
        return named if self.namespace.lower() == NAMESPACE else f"{self.namespace}/{named}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model and tag, in lower case: upper and lower case are the same to Ollama."""
        return self.host.lower(), self.namespace.lower(), self.model.lower(), self.tag.lower()


def parse_name(text: str) -> OllamaName:
    """The parts of a name, the usual ones where it leaves them out. Raises ModelError for what is no name."""
    path, found, last = text.strip().rpartition("/")
    model, colon, tag = last.partition(":")
    owner, named, namespace = path.rpartition("/")
    host = owner if named else HOST
    namespace = namespace if found else NAMESPACE
    tag = tag if colon else TAG
    wrong = not (
        _HOST.fullmatch(host) and _NAMESPACE.fullmatch(namespace) and _MODEL.fullmatch(model) and _MODEL.fullmatch(tag)
    )
    if wrong:
        raise ModelError(
            f"{text[:100]!r} is no name of a model in Ollama.", hint="Write it as `ollama list` shows it: llama3.2:3b."
        )
    name = OllamaName(host, namespace, model, tag)
    if tag.lower() == "cloud" or tag.lower().endswith("-cloud"):
        raise ModelError(
            f"{name.short} runs in Ollama's cloud, so that its weights are not on this machine.",
            hint="Choose a model that `ollama list` shows with a size.",
        )
    return name
