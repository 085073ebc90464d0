"""Corrections that were begun and not saved. A store that cannot be written, on a full disk, loses none of them: what
the editor gave back stands in `FinetuneApp.unsaved` until it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from storage import ui_state
from storage.db import Store

if TYPE_CHECKING:
    from tui.app import FinetuneApp

_DRAFTS: Final = "review.drafts"
_KEPT: Final = 20


def begun(app: FinetuneApp, event_id: int) -> str | None:
    """A correction that was begun and not saved, as an editor shows it."""
    return app.unsaved.get(event_id) or load_draft(app.store, event_id)


def hold(app: FinetuneApp, event_id: int, shown: str | None) -> None:
    """Hold what an editor gave back, until `let_go`; None holds nothing."""
    if shown is not None:
        app.unsaved[event_id] = shown


def let_go(app: FinetuneApp, event_id: int, shown: str | None) -> None:
    """It is stored; what was written since then stays."""
    if app.unsaved.get(event_id) == shown:
        app.unsaved.pop(event_id, None)


def load_draft(store: Store, event_id: int) -> str | None:
    """A correction that was begun and not saved."""
    found = _drafts(store).get(str(event_id))
    return found if isinstance(found, str) else None


def keep_draft(store: Store, event_id: int, text: str | None) -> None:
    """Keep a correction that was begun, or forget it with None. The newest 20 are kept."""
    drafts = _drafts(store)
    known = drafts.pop(str(event_id), None)
    if text is not None:
        drafts[str(event_id)] = text
    if text != known:
        ui_state.save(store, _DRAFTS, dict(list(drafts.items())[-_KEPT:]))


def _drafts(store: Store) -> dict[str, Any]:
    drafts = ui_state.load(store, _DRAFTS, {})
    return drafts if isinstance(drafts, dict) else {}
