"""What stands in `@{ … }` after the id of a flowchart's node or link: YAML with a shape, a label and more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from core.validate.mermaid.reading import Cursor, Refused

_SHAPE_NAMES = """
anchor bang bolt bow-rect bow-tie-rectangle brace brace-l brace-r braces browser bucket card choice circ circle
cloud collate com-link comment composite console cross-circ crossed-circle curv-trap curved-trapezoid cyl cylinder
das data-store database datastore db dbl-circ decision delay diam diamond directory disk display div-proc div-rect
divided-process divided-rectangle doc docs document documents double-circle doublecircle event extract f-circ
filled-circle flag flip- flipped-triangle folder fork fr-circ fr-rect framed-circle framed-rectangle h-cyl
half-rounded-rectangle hex hexagon horizontal-cylinder hourglass icon in in-out internal-storage inv-trapezoid join
junction lean-l lean-left lean-r lean-right lightning-bolt lin-cyl lin-doc lin-proc lin-rect lined- lined-cylinder
lined-document lined-process loop-limit manual manual-file manual-input notch-pent notch-rect notched-pentagon
notched-rectangle note odd out- paper-tape person pill prepare priority proc process processes procs question rect
rectangle rounded shaded-process sl-rect sloped-rectangle sm-circ small-circle st-doc st-rect stacked-document
stacked-rectangle stadium start state stop stored-data subproc subprocess subroutine summary tag-doc tag-proc
tag-rect tagged- tagged-document tagged-process terminal text trap-b trap-t trapezoid trapezoid-bottom trapezoid-top
tri triangle win-pane window-pane
"""
SHAPES = frozenset(_SHAPE_NAMES.split())
_CONTENT = re.compile(r'\{((?:[^}^"]++|"[^"]*+")*+)\}')
_NO_KEY = re.compile(r"(\A\s*|,\s*):(?=\s)")
_YAML_READ = 20_000
_IN_QUOTES = re.compile(r'"[^"]*"')
_BREAK = re.compile(r"\n\s*")


@dataclass(frozen=True, slots=True)
class Data:
    """What the data says of a node; empty where it says nothing."""

    shape: str = ""
    label: str = ""


class ShapeData:
    """Reads the data of one diagram. At most 20 000 characters of YAML are looked into, the rest is let pass."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._left = _YAML_READ

    def read(self, *, is_link: bool) -> Data:
        """The data at the cursor, from its brace on. Raises Refused where Mermaid would."""
        start = self._cursor.at
        match = self._cursor.take(_CONTENT)
        if match is None:
            raise Refused("`@{` is never closed with `}`", start)
        content = _IN_QUOTES.sub(lambda quoted: _BREAK.sub("<br/>", quoted.group()), match.group(1))
        self._left -= len(content)
        if self._left < 0:
            return Data()
        # Mermaid's YAML lets a key be left out between braces, where Python's wants it named.
        flow = "{\n" + _NO_KEY.sub(r"\1null:", content) + "\n}"
        fields = _fields(content + "\n" if "\n" in content else flow, start)
        return Data(_shape(fields, start) if not is_link else "", _label(fields, start) if not is_link else "")


def _fields(text: str, start: int) -> dict[str, Any]:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise Refused("what stands in `@{ … }` is not YAML", start) from error
    if root is None:
        raise Refused("`@{ … }` holds nothing", start)
    found: dict[str, Any] = {}
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if str(key.value) in found:
            raise Refused(f"`{key.value}` stands twice in `@{{ … }}`", start)
        found[str(key.value)] = value
    return found


def _shape(fields: dict[str, Any], start: int) -> str:
    node = fields.get("shape")
    if node is None or node.tag.endswith(":null"):
        return ""
    if node.value not in SHAPES:
        raise Refused(f"there is no shape `{str(node.value)[:24]}`", start)
    return str(node.value)


def _label(fields: dict[str, Any], start: int) -> str:
    node = fields.get("label")
    if node is None or node.tag.endswith((":null", ":seq")):
        return ""
    if node.tag.endswith(":map"):
        raise Refused("a label cannot hold fields of its own", start)
    return str(node.value)
