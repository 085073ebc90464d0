"""Functions of this process that are told of what happens from now on, whichever process makes it happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.config import close_names
from core.errors import ConfigError
from core.hooks.message import Delivery, message
from core.hooks.settings import ALL
from storage import outbox
from storage.db import Store

Callback = Callable[[Mapping[str, Any]], object]


@dataclass(slots=True)
class _Registered:
    event: str
    callback: Callback
    after: int


class Callbacks:
    """Use it in one thread. A callback gets each event at most once and in order, in the thread that polls.

    Nothing of it outlives the process: what must not be missed is the business of a hook in `config.toml`.
    """

    def __init__(self) -> None:
        self._registered: list[_Registered] = []

    def on(self, store: Store, event: str, callback: Callback) -> None:
        """Registers a function for one of the six events, or for all with `*`. Raises ConfigError for another name."""
        if event not in (*outbox.EVENTS, ALL):
            raise ConfigError(f"`{event[:60]}` is no event.", hint=close_names(event[:60], set(outbox.EVENTS)))
        self._registered.append(_Registered(event, callback, outbox.newest(store)))

    def poll(self, store: Store) -> list[Delivery]:
        """Calls the functions for what has happened since the last poll.

        One that raises costs the others nothing: its delivery has the state `given up` and says what it raised.
        """
        done: list[Delivery] = []
        if not self._registered:
            return done
        for row in outbox.since(store, min(one.after for one in self._registered)):
            for one in list(self._registered):
                if one.after >= row.id:
                    continue
                one.after = row.id  # before the call, which may poll in its turn
                if one.event in (row.name, ALL):
                    done.append(_called(one, row))
        return done


def _called(one: _Registered, row: outbox.OutboxRow) -> Delivery:
    name = getattr(one.callback, "__qualname__", type(one.callback).__name__)
    state: outbox.DeliveryState = "delivered"
    said = f"`{name}` returned"
    try:
        one.callback(message(row))
    except Exception as error:  # noqa: BLE001 - foreign code; what it raises is told, and is no fault of the loop
        state, said = "given up", f"`{name}` failed: {type(error).__name__}: {error}"
    return Delivery("callback", row.id, row.name, row.category, 1, state, said, None)
