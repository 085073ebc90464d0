"""Chat templates on their way into a GGUF file and back."""

from __future__ import annotations

# Serving programs may take a short template for a well-known one that looks alike (within 100 edits) and then use
# that instead. A comment of this length at its head keeps every template further away than that.
SHORTEST_COMMENT = 200
TEMPLATE_COMMENT = (
    "{# This is the chat template that the model in this file was trained with, and the only one that fits it. The "
    "comment changes nothing in what the template writes; it is here so that no program takes the template for some "
    "better known one that merely looks like it. #}"
)


def padded_template(template: str) -> str:
    """The template with a long comment at its head, unless it begins with one of its own."""
    own = template.find("#}") if template.startswith("{#") else -1
    if own >= SHORTEST_COMMENT:
        return template
    # Chat templates are read with the white space trimmed between the beginning of a line and a block, and one line's
    # end behind a comment: so that white space at the template's head stays at the beginning of a line.
    return TEMPLATE_COMMENT + "\n" * template[:1].isspace() + template


def original_template(template: str) -> str:
    """The template without the comment that `padded_template` puts at its head."""
    rest = template.removeprefix(TEMPLATE_COMMENT)
    return rest[1:] if rest is not template and rest[:1] == "\n" and rest[1:2].isspace() else rest
