"""Brings a database to the tables of this version.

Each step is a file in ``versions``; a test holds their sum equal to ``schema.py``. A new step is
written by hand beside the last one, with the last one's number as its ``down_revision``.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from monitor.errors import StoreError
from monitor.store.engine import open_engine, writing
from monitor.store.faults import connected, place

_LOCK = 0x6D6F6E69  # "moni": the advisory lock of PostgreSQL under which the tables are changed


def migrate(url: str) -> tuple[str | None, str]:
    """Create or upgrade the tables, in one transaction; does nothing where they are up to date.

    Returns the version found (None: a new database) and the version now. Daemons that start
    together wait for each other. Raises ``StoreError``, also for a database that a newer version of
    the program has made.
    """
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    steps = ScriptDirectory.from_config(config)
    newest = steps.as_revision_number("head")
    if not isinstance(newest, str):
        raise TypeError(f"the migrations must end in one head, not in {newest}")
    try:
        with connected(writing(engine), "migrating") as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            found = MigrationContext.configure(connection).get_current_revision()
            if found is not None:
                try:
                    steps.get_revision(found)
                except CommandError:
                    raise StoreError(
                        f"{place(engine.url)}: this database was made by a newer version of the "
                        f"program (its tables are version {found}, this program knows up to "
                        f"{newest}); upgrade the program, or use another database",
                        retryable=False,
                    ) from None
            if found != newest:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()
    return found, newest
