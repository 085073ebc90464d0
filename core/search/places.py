"""Where searches lie: in the home folder, or in one place that several processes and machines share.

Shared are an Optuna database (`postgresql://…`, `mysql://…`, `sqlite:////whole/path.db`) and a journal
(`journal:/whole/path.log`), which works on NFS without a server. A password in an address is never shown.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, quote_plus

from core.errors import ConfigError, StoreError
from core.paths import Home

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import URL

FILE: Final = "search.db"
OWN: Final = "home"  # names the home folder's own file where config.toml names another place
JOURNAL: Final = "journal:"
BEAT_SECONDS: Final = 10
GRACE_SECONDS: Final = 60  # without a heartbeat; then a trial counts as dead
_BUSY_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 10
_PAUSES: Final = (0.1, 0.2, 0.4)  # between tries to open: two processes may make the same file at once
_DRIVERS: Final = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
}
_KINDS: Final = (
    "It may be postgresql://USER@HOST/NAME, mysql+pymysql://USER@HOST/NAME, sqlite:////whole/path.db "
    "or journal:/whole/path.log."
)

Retry = Callable[["Study", "FrozenTrial"], None]
"""Called with a trial whose process is dead and that has just been ended as failed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place of searches. `shown` is its address without a password, for people."""

    kind: Literal["home", "database", "journal"]
    shown: str
    address: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shared(self) -> bool:
        """Whether others may be at work on it at the same time."""
        return self.kind != "home"

    @property
    def path(self) -> Path | None:
        """The file of the home folder's own searches, or of a journal."""
        return None if self.kind == "database" else Path(self.address)

    def clean(self, text: str) -> str:
        """`text` without what is secret in the address."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def place_of(home: Home, setting: str = "") -> Place:
    """The place that a setting names, empty or `home` for the home folder. Raises ConfigError for a wrong address."""
    wanted = setting.strip()
    if wanted in ("", OWN):
        path = str(home.root / FILE)
        return Place("home", path, path)
    if wanted.startswith(JOURNAL):
        path = _whole(wanted.removeprefix(JOURNAL))
        return Place("journal", JOURNAL + path, path)
    return _database(wanted)


def _whole(name: str) -> str:
    path = Path(f"/{name.lstrip('/')}" if name.startswith("/") else name).expanduser()
    if not name or not path.is_absolute() or path.is_dir():
        raise _wrong("A shared file must be named by its whole path")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent}.", hint="Is the shared disk there? Make the folder first.")
    return str(path)


def _database(wanted: str) -> Place:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(wanted)
        kind = url.get_backend_name()
    except (ArgumentError, ValueError):  # what was written is not repeated: it may hold a password
        raise _wrong("The storage of searches is no address of a database") from None
    if kind != "sqlite" and "@" in f"{url.host}{url.database}":
        raise _wrong("A password in the address of a database must be written with %40 for @ and %2F for /")
    if kind == "sqlite":
        path = _whole(url.database or "")
        url = url.set(database=path)
    told = [
        url.password,
        *(each for value in url.query.values() for each in (value if isinstance(value, tuple) else (value,))),
    ]
    forms = {form for text in told if text for form in (str(text), quote(str(text), safe=""), quote_plus(str(text)))}
    address = url.render_as_string(hide_password=False)
    secrets = (wanted, address, *sorted(forms, key=len, reverse=True)) if told != [None] else ()
    shown = url.set(query={}, password=None).render_as_string()
    # Optuna takes braces in the address for a place to fill in.
    return Place("database", shown, address.replace("{", "{{").replace("}", "}}"), secrets)


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"{what}.", title="No place for searches", hint=_KINDS)


@contextmanager
def opened(place: Place, retry: Retry | None = None) -> Iterator[BaseStorage]:
    """The storage of a place, made where it is missing; `retry` hears of trials whose heartbeat has stopped.

    Raises StoreError when it cannot be reached, read or written, lacks its driver, or is of another version of Optuna.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if place.kind == "journal":
        from core.search.journal import Journal

        yield optuna.storages.JournalStorage(Journal(Path(place.address)))
        return
    from sqlalchemy.exc import SQLAlchemyError

    storage = _connected(place, retry)
    try:
        yield storage
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise StoreError(
            f"{place.shown} cannot be read or written: {_reason(place, error)}", hint=_hint(place)
        ) from None
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _connected(place: Place, retry: Retry | None) -> RDBStorage:
    import optuna
    from sqlalchemy.exc import IntegrityError, NoSuchModuleError, OperationalError, SQLAlchemyError

    internal = optuna.exceptions.StorageInternalError
    for pause in (*_PAUSES, None):
        try:
            return _storage(place, retry)
        except (ImportError, NoSuchModuleError) as error:
            raise _no_driver(place, error) from None
        except RuntimeError as error:  # the tables are those of another version of Optuna
            raise StoreError(
                f"{place.shown} was made by another version of Optuna.",
                title="Other version",
                hint=f"Use the same version everywhere, or another place. {_reason(place, error)}",
            ) from None
        except (SQLAlchemyError, internal) as error:
            passing = isinstance(error, OperationalError | IntegrityError | internal)
            if pause is None or not passing:
                what = "cannot be reached" if place.shared else "cannot be opened"
                raise StoreError(f"{place.shown} {what}: {_reason(place, error)}", hint=_hint(place)) from None
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _storage(place: Place, retry: Retry | None) -> RDBStorage:
    import optuna
    from sqlalchemy import event
    from sqlalchemy.engine import URL, make_url

    address = place.address
    if not place.shared:
        url = URL.create("sqlite", database=address)
        address = url.render_as_string().replace("{", "{{").replace("}", "}}")
    else:
        url = make_url(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(
            address,
            engine_kwargs=_engine(url),
            heartbeat_interval=BEAT_SECONDS if place.shared else None,
            grace_period=GRACE_SECONDS if place.shared else None,
            heartbeat_stale_trial_callback=retry,
        )
    if url.get_backend_name() == "sqlite":
        # SQLite has no row locks: a transaction takes the file from its beginning, so that no two read the same state
        # of a trial and both take it.
        event.listen(storage.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return storage


def _engine(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS, "isolation_level": None}}
    return {"connect_args": {"connect_timeout": _CONNECT_SECONDS}, "pool_pre_ping": True}


def _no_driver(place: Place, error: Exception) -> StoreError:
    module = getattr(error.__cause__, "name", None) or getattr(error, "name", None)
    if module is None:
        return StoreError(f"{place.shown}: no such kind of database is known.", title="No driver", hint=_KINDS)
    return StoreError(
        f"{place.shown} needs the Python package {module}, which is not installed.",
        title="No driver",
        hint=f"Install it: pip install '{_DRIVERS.get(module, module)}'",
    )


def _hint(place: Place) -> str:
    if place.shared:
        return "Check that it is there and may be written to; what is done is kept, and the same command goes on."
    return f"Check the free space and the permissions, or move {place.shown} away to begin anew."


def _reason(place: Place, error: Exception) -> str:
    lines = place.clean(str(error)).splitlines()
    return lines[0] if lines else type(error).__name__
