"""Contents of chat messages in exports."""

from __future__ import annotations

from typing import Any

from core.capture.formats.export_values import items, mapping, text


def content_of(content: Any) -> tuple[str, int]:
    """The text of a message's content, and how many of its parts (images, files) are not text.

    Content is text, or a list of texts and objects with `text`.
    """
    if isinstance(content, str):
        return content, 0
    found: list[str] = []
    left_out = 0
    for part in items(content):
        piece = part if isinstance(part, str) else text(mapping(part).get("text"))
        if piece:
            found.append(piece)
        elif part not in ("", None, {}):
            left_out += 1
    return "\n".join(found), left_out
