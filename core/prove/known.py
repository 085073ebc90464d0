"""What is known of the right answer to a prompt, and whether an answer is it."""

from __future__ import annotations

from collections.abc import Mapping

from core.validate.label import LabelValidator
from core.validate.validator import Validation, Validator
from storage.rows import EventRow


def expected_of(validator: Validator, event: EventRow) -> Mapping[str, object] | None:
    """What a validator is told of the right answer: what came with the event, else a person's correction of it.

    Only of a label can a correction be taken for the one right answer; of a longer text it is one of many.
    """
    expected = event.metadata.get("expected")
    if isinstance(expected, Mapping):
        return expected
    if isinstance(validator, LabelValidator) and event.correction:
        label = validator.label_in(event.correction)
        return {validator.expected_key: label} if label is not None else None
    return None


def is_right(
    validator: Validator, text: str, validation: Validation, expected: Mapping[str, object] | None
) -> bool | None:
    """Whether an answer is the known right one, whatever its form costs; None where no such answer is known."""
    if expected is None or not validation.judged:
        return None
    if isinstance(validator, LabelValidator):
        right = validator.label_in(str(expected.get(validator.expected_key) or ""))
        return None if right is None else validator.label_in(text) == right
    if validator.name == "regex" and expected.get("match") is not None:
        kinds = {finding.kind for finding in validation.findings}
        return None if "forbidden" in kinds else not kinds & {"no_match", "wrong_value"}
    return None
