"""The code itself: what reads markup is never given text that was put together, and toasts read none at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tui.app import FinetuneApp

ROOT = Path(__file__).parents[2]
TREES = [
    (path, ast.parse(path.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "tui").rglob("*.py"))
    if "cli" not in path.parts
]
READ_MARKUP = {"Static", "Label", "Button", "Option", "Checkbox", "RadioButton", "TabPane", "Collapsible", "Rule"}
TITLES = {"border_title", "border_subtitle", "tooltip", "loading_text"}
FOREIGN = {
    "prompt", "response", "message", "error", "hint", "model", "category", "system", "context", "correction", "why",
    "who", "base_model", "path", "detail", "said", "note", "role", "content", "alias", "summary", "reason", "server",
    "digest", "folder", "findings", "evidence",
}  # fmt: skip
"""Names of attributes that hold text of others. In `Content(…)` they must go through `safe` or `plain`."""


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def put_together(node: ast.expr) -> bool:
    """Whether a str is made here out of parts: a widget that is given it reads the markup in all of them."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return put_together(node.left) or put_together(node.right)
    if isinstance(node, ast.IfExp):
        return put_together(node.body) or put_together(node.orelse)
    if isinstance(node, ast.Call):
        of_str = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant)
        return name_of(node) in {"str", "repr", "plain"} or (of_str and name_of(node) in {"format", "join"})
    return False


def given(tree: ast.AST) -> Iterator[tuple[int, ast.expr]]:
    """Every expression that a widget would read markup from if it were a str, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node) in READ_MARKUP | {"update", "set_options", "add_option"}:
            if not any(each.arg == "markup" for each in node.keywords):
                yield from ((node.lineno, each) for each in node.args[:1])
            yield from ((node.lineno, each.value) for each in node.keywords if each.arg in TITLES | {"label", "prompt"})
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in TITLES:
                    yield node.lineno, node.value


def bare(node: ast.expr) -> Iterator[str]:
    """The foreign attributes in an expression that stand outside of any call."""
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Attribute) and node.attr in FOREIGN:
        yield ast.unparse(node)
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else ast.iter_child_nodes(node)
    for child in parts:
        if isinstance(child, ast.expr):
            yield from bare(child)


def test_no_widget_reads_markup_from_a_text_that_was_put_together() -> None:
    found = [
        (path.name, line, ast.unparse(node)) for path, tree in TREES for line, node in given(tree) if put_together(node)
    ]
    assert found == []


def test_foreign_text_goes_through_safe() -> None:
    found = [
        (path.name, node.lineno, text)
        for path, tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Content", "Content.styled", "Content.assemble"}
        for argument in node.args[: None if name_of(node) == "assemble" else 1]
        for text in bare(argument)
    ]
    assert found == []


def test_markup_is_never_read() -> None:
    assert len(TREES) > 150
    for path, node in ((path, node) for path, tree in TREES for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"from_markup", "from_text"}, (path, node.lineno)
        elif isinstance(node, ast.Call):
            markup = [each.value for each in node.keywords if each.arg == "markup"]
            assert all(isinstance(each, ast.Constant) and each.value is False for each in markup), (path, node.lineno)


async def test_a_toast_reads_no_markup(app: FinetuneApp) -> None:
    text = "[/] [bold]x[/bold] [@click=app.quit]q[/]"
    async with app.run_test(size=(80, 24)) as pilot:
        app.notify(text, title=text, markup=True)
        app.report(ValueError(text), text)
        await pilot.pause()
        shown = list(app._notifications)
        assert [toast.markup for toast in shown] == [False, False]
        assert shown[0].message == text and text in shown[1].message


def test_these_rules_find_what_they_are_for() -> None:
    wrong = ast.parse(
        "Static(f'[b]{x}')\nself.border_title = 'a' + str(x)\nw.update('%s'.format(x))\nLabel(plain(x))\nOption('a')\n"
        "Static(safe(f'{x}'))\nself.border_title = Content(f'{n}')"
    )
    assert sorted(line for line, node in given(wrong) if put_together(node)) == [1, 2, 3, 4]
    tree = ast.parse("Content(f'{event.prompt} {len(event.prompt)}')").body[0]
    assert isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Call)
    assert list(bare(tree.value.args[0])) == ["event.prompt"]
