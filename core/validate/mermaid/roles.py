"""What the participants of a sequence diagram may do when: activation, creation, destruction and boxes."""

from __future__ import annotations

import re

from core.validate.mermaid.graph import SyntaxProblem

_CONFIG_READ = 4000
_QUOTED_KEY = re.compile(r"(\"[^\"\n]*\"|'[^'\n]*') *:(?=\S)")


class Roles:
    """Follows a sequence diagram statement by statement; `problems` holds what Mermaid would refuse."""

    def __init__(self) -> None:
        self._config_left = _CONFIG_READ
        self.problems: list[SyntaxProblem] = []
        self._active: dict[str, int] = {}
        self._box_of: dict[str, int] = {}
        self._boxes = 0
        self._box: int | None = None
        self._created: str | None = None
        self._destroyed: str | None = None

    def open_box(self) -> None:
        """A `box` begins."""
        self._boxes += 1
        self._box = self._boxes

    def close_box(self) -> None:
        """The open `box` ends."""
        self._box = None

    def declare(self, name: str, line: int) -> None:
        """A participant is declared: it may stand in one box only."""
        if self._box is not None and self._box_of.setdefault(name, self._box) != self._box:
            self._problem(f"participant `{name}` stands in two boxes", line)

    def create(self, name: str, line: int, *, known: bool) -> None:
        """A participant is created: it must be new, and the next message must go to it."""
        if known:
            self._problem(f"participant `{name}` is created although it exists already", line)
        self._created = name

    def destroy(self, name: str) -> None:
        """A participant is destroyed: the next message must come from it or go to it."""
        self._destroyed = name

    def activate(self, name: str) -> None:
        """An activation begins; they nest."""
        self._active[name] = self._active.get(name, 0) + 1

    def deactivate(self, name: str, line: int) -> None:
        """An activation ends: one must have begun."""
        count = self._active.get(name, 0)
        if not count:
            self._problem(f"participant `{name}` is deactivated although it is not active", line)
            return
        self._active[name] = count - 1

    def message(self, source: str, target: str, line: int) -> None:
        """A message is sent."""
        if self._created is not None:
            name = self._created
            self._created = None
            if target != name:
                self._problem(f"the message after `create` must go to the new participant `{name}`", line)
        elif self._destroyed is not None:
            name = self._destroyed
            self._destroyed = None
            if name not in (source, target):
                self._problem(f"the message after `destroy {name}` must come from `{name}` or go to it", line)

    def _problem(self, message: str, line: int) -> None:
        self.problems.append(SyntaxProblem(line, message))

    def check_config(self, text: str, line: int) -> None:
        """What stands in `@{...}` must be YAML, a single line being read as the inside of a mapping.

        Mermaid's reader is more lenient than ours: a tab may separate, and no blank is needed after the colon of a key
        in quotes. The YAML reader is slow, so the first 4000 characters of a diagram are looked into, the rest is let
        pass.
        """
        self._config_left -= len(text)
        if self._config_left >= 0 and not _is_mapping(text):
            self._problem("the settings in `@{...}` are not YAML", line)


def _is_mapping(text: str) -> bool:
    import yaml

    lenient = _QUOTED_KEY.sub(r"\1: ", text.strip().replace("\t", " "))
    try:
        root = yaml.compose(f"{lenient}\n" if "\n" in lenient else f"{{\n{lenient}\n}}", Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return False
    if not isinstance(root, yaml.MappingNode):
        return True
    keys = [str(key.value) for key, _ in root.value]
    return len(set(keys)) == len(keys)
