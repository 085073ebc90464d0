"""The tokenizer of a model folder: its files, and what loading makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ExportError
from core.release.vocabulary.refusal import refused
from core.release.vocabulary.tokenizer import PHI_3_KEEPS_SPACES

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is found in the text before anything else."""

    id: int
    content: str
    special: bool
    normalized: bool


@dataclass(frozen=True, slots=True)
class StoredTokenizer:
    """`stored`: tokenizer.json. `settings`: tokenizer_config.json."""

    stored: Mapping[str, Any]
    settings: Mapping[str, Any]
    added: tuple[AddedToken, ...]
    strips_after: bool

    @property
    def model(self) -> Mapping[str, Any]:
        """The part that merges."""
        model: Mapping[str, Any] = self.stored.get("model") or {}
        return model


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder; ExportError where there is none."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ExportError(
            f"There is no {path.name} in {path.parent}.", hint="Check that the model folder is complete."
        ) from error
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read: {error}.", hint="Make or copy the model folder again.") from error
    if not isinstance(value, dict):
        raise ExportError(f"{path} holds no JSON object.", hint="Make or copy the model folder again.")
    return value


def stored_tokenizer(folder: Path) -> StoredTokenizer:
    """Read the tokenizer of a folder. Raises ExportError where it is missing, damaged or of no known kind."""
    stored = read_json(folder / "tokenizer.json")
    settings = read_json(folder / "tokenizer_config.json")
    _check_model(stored.get("model") or {})
    added = _added(stored, settings)
    return StoredTokenizer(
        stored,
        settings,
        tuple(AddedToken(int(t["id"]), t["content"], bool(t.get("special")), bool(t.get("normalized"))) for t in added),
        strips_after=_strips_after(added),
    )


def _check_model(model: Mapping[str, Any]) -> None:
    if model.get("type") != "BPE":
        raise refused(f"it is of kind {model.get('type')}; only BPE can be exported, SentencePiece's among it")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise refused(f"it uses {name}, which llama.cpp does not know")


def _added(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The added tokens, with the flags of tokenizer_config.json where it has some: loading prefers those."""
    flags = settings.get("added_tokens_decoder") or {}
    tokens = []
    for token in stored.get("added_tokens", []):
        other = flags.get(str(token["id"])) or {}
        same = other.get("content") == token["content"]
        tokens.append({**token, **{name: other[name] for name in _FLAGS if same and name in other}})
    return tokens


def _strips_after(added: list[dict[str, Any]]) -> bool:
    """Does the tokenizer drop the spaces after its special tokens, all but Phi-3's exceptions?"""
    names = {token["content"] for token in added}
    stripping = {token["content"] for token in added if token.get("rstrip")}
    as_phi_3 = stripping == names - PHI_3_KEEPS_SPACES and names >= PHI_3_KEEPS_SPACES | {"</s>"}
    for token in added:
        odd = token.get("rstrip") and not as_phi_3
        if token.get("lstrip") or token.get("single_word") or odd:
            raise refused(f"its token {token['content']!r} swallows the spaces around it, which llama.cpp does not")
    return bool(stripping)
