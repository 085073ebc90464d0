"""Checks of a file's own parts, before anything runs: nothing missing, tied, or unending that was not so before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.backends.backend import Message
from core.errors import ExportError, ModelError
from core.release.gguf_reading import GgufReading
from core.release.proof_check import ProofCheck
from core.release.skeleton import EMBEDDING, HEAD
from core.release.vocabulary import read_json
from core.release.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.release.reference import Reference

_ANSWER = "A diagram of nothing"  # ends in a letter, so that no template trims or joins it


def whole_file(path: Path) -> ProofCheck:
    """Is every byte that the file's own header speaks of there?"""
    name = "file is whole"
    try:
        with GgufReading(path) as reading:
            tensors, architecture = len(reading.tensors), reading.fields.get("general.architecture", "?")
        size = path.stat().st_size
    except (OSError, ModelError) as error:
        why = error.message if isinstance(error, ModelError) else error
        return ProofCheck(name, False, 1, 0, f"the file cannot be read: it is damaged or cut short ({why})")
    detail = f"{tensors} tensors of the architecture {architecture}, {size} bytes"
    return ProofCheck(name, tensors > 0, tensors == 0, 0, detail)


def ties(model_dir: Path, gguf_file: Path) -> ProofCheck:
    """Have the embedding and the output layer stayed one, or two, as they were trained?

    A configuration that says "one" over two different matrices loses the trained one of them wherever it is loaded.
    """
    name = "ties"
    weights = Weights(model_dir)
    tied = _said_tied(read_json(model_dir / "config.json"), weights)
    equal = HEAD not in weights.names or weights.equal(HEAD, EMBEDDING)
    if tied and not equal:
        return ProofCheck(name, False, 1, 0, "config.json ties two matrices that differ: one of them would be lost")
    if _rows(gguf_file, "output.weight") is None:
        detail = "the output layer is the embedding, in the model and in the file"
        wrong = not equal
        return ProofCheck(name, not wrong, wrong, 0, "the file lost the output layer" if wrong else detail)
    if equal and HEAD not in weights.names:
        return ProofCheck(name, False, 1, 0, "the file has an output layer that the model has not")
    return ProofCheck(name, True, 0, 0, "the output layer is a matrix of its own, in the model and in the file")


def _said_tied(config: dict[str, Any], weights: Weights) -> bool:
    """What config.json says; a family's own default where it says nothing is seen by what is stored."""
    return bool(config.get("tie_word_embeddings", HEAD not in weights.names))


def vocabulary(reference: Reference, model_dir: Path, gguf_file: Path) -> ProofCheck:
    """Has every token of the tokenizer a row in the embedding, and is it the same number of rows everywhere?"""
    tokens, said = len(reference.tokenizer), reference.vocabulary
    try:
        stored = Weights(model_dir).shape(EMBEDDING)[0]
    except ExportError as error:
        return ProofCheck("vocabulary", False, 1, 0, error.message)
    rows = _rows(gguf_file, "token_embd.weight") or 0
    wrong = [
        text
        for bad, text in (
            (tokens > stored, f"the tokenizer has {tokens} tokens, the embedding {stored} rows"),
            (said != stored, f"config.json says {said} rows, the embedding has {stored}"),
            (rows != stored, f"the file has {rows} rows, the model {stored}"),
        )
        if bad
    ]
    detail = "; ".join(wrong) or f"{tokens} tokens in {rows} rows"
    return ProofCheck("vocabulary", not wrong, len(wrong), 0, detail)


def _rows(path: Path, name: str) -> int | None:
    """Rows of a matrix in a GGUF file; None where the file has none of that name."""
    with GgufReading(path) as reading:
        found = reading.tensors.get(name)
    return None if found is None else found.shape[0]


def end_of_turn(reference: Reference, ends: Collection[int]) -> ProofCheck:
    """Does an answer in the chat template close with a token at which the file ends answers, and is padding another?

    Where the template closes answers with anything else, nothing that was learned from it ever ends.
    """
    import jinja2

    name = "end of turn"
    chat = [Message("user", "Draw a diagram."), Message("assistant", _ANSWER)]
    try:
        text = reference.render(chat, add_generation_prompt=False)
    except jinja2.TemplateError as error:
        return ProofCheck(name, False, 1, 0, f"the chat template refuses an answer: {error}")
    behind = reference.encode(text.rpartition(_ANSWER)[2].lstrip())
    tokenizer = reference.tokenizer
    if not behind or behind[0] not in ends:
        found = ascii(tokenizer.decode(behind[:1])) if behind else "nothing"
        return ProofCheck(name, False, 1, 0, f"the chat template closes an answer with {found}, which ends nothing")
    closing = ascii(tokenizer.convert_ids_to_tokens(behind[0]))
    if tokenizer.pad_token_id == behind[0]:
        # Training here masks padding by its place, so the end is learned all the same; other programs mask by the id.
        return ProofCheck(name, True, 0, 0, f"answers close with {closing}, which is the padding token too")
    return ProofCheck(name, True, 0, 0, f"answers close with {closing}")
