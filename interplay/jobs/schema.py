"""Tables and connections of the job database: SQLite in WAL mode by default, PostgreSQL by URL.

Times are seconds since the epoch, taken from the clock of the process that writes; machines that
share a database keep their clocks within a few seconds (NTP), far below the lease time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from interplay.errors import InternalError, Unavailable

SCHEMA_VERSION = 1

metadata = MetaData()

schema_versions = Table("interplay_schema", metadata, Column("version", Integer, primary_key=True))

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    # Digest of kind and params: what an Idempotency-Key is compared by.
    Column("fingerprint", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    # Raised by every change that a client can see; the event id of server-sent events.
    Column("revision", Integer, nullable=False, default=1),
    Column("message", Text, nullable=False, default=""),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer),
    # Raised by every claim. A write under an older fence finds no row: a stale attempt cannot commit.
    Column("fence", Integer, nullable=False, default=0),
    Column("attempt", Integer, nullable=False, default=0),
    # Attempts since the last committed unit; the cap counts these, so a long job survives many restarts.
    Column("fruitless_attempts", Integer, nullable=False, default=0),
    Column("max_attempts", Integer, nullable=False),
    Column("worker", String(128)),
    Column("heartbeat_at", Float),
    # Since when a queued job waits; ahead of now while a failed attempt waits for the next one.
    Column("due_at", Float, nullable=False),
    # When the id was last handed to the broker; null until the first time.
    Column("dispatched_at", Float),
    Column("error_reason", String(64)),
    Column("error_message", Text),
    Column("result", JSON),
    Column("request_id", String(64), nullable=False, default=""),
    Column("owner", String(128), nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("expires_at", Float),
    Index("jobs_by_state", "state", "heartbeat_at"),
    Index("jobs_by_age", "created_at", "id"),
)

# The checkpoint: a unit is done when its result is there, and is written once.
units = Table(
    "job_units",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("work_items", JSON, nullable=False),
    # JSON null and SQL NULL must differ: only the latter means "not done".
    Column("result", JSON(none_as_null=True)),
    Column("committed_at", Float),
    # Who is at the unit, and when that was last heard of.
    Column("holder", String(192)),
    Column("claimed_at", Float),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(128), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("job_id", String(32), nullable=False),
    Column("expires_at", Float, nullable=False),
)

# Any number that no other program using the same PostgreSQL database takes for its lock.
_SCHEMA_LOCK = 0x1A7E59
_BUSY_TIMEOUT_S = 15.0


class Database:
    """Connections to the job database; safe to share between threads.

    Args:
        url: SQLAlchemy URL; plain ``postgresql://`` means the psycopg driver.

    Raises:
        InternalError: The schema was made by another release.
        Unavailable: The database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = (
            {"connect_args": {"timeout": _BUSY_TIMEOUT_S}} if self.is_sqlite else {"pool_pre_ping": True}
        )
        self.engine: Engine = create_engine(parsed, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        try:
            self._create_schema()
        except InternalError:
            self.close()
            raise
        except OperationalError as error:
            self.close()
            shown = parsed.render_as_string(hide_password=True)
            raise Unavailable(f"the job database {shown} cannot be reached") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; committed at the end, rolled back by an exception."""
        # SQLite takes its one write lock at the start: a reader that turns writer may find it gone.
        with self.engine.connect().execution_options(interplay_writes=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _create_schema(self) -> None:
        """Create what is missing. Processes that start at once take turns."""
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                _add_columns(connection, table)
                for index in sorted(table.indexes, key=lambda i: str(i.name)):
                    connection.execute(CreateIndex(index, if_not_exists=True))
            version = connection.scalar(select(schema_versions.c.version))
            if version is None:
                connection.execute(insert(schema_versions).values(version=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                raise InternalError(
                    f"the job database has schema {version}, this release needs {SCHEMA_VERSION}: "
                    "finish its jobs with the release that made it, then start with a new database"
                )


def _add_columns(connection: Connection, table: Table) -> None:
    """Give a table of an earlier release the columns it lacks; they may be null, and it ignores them."""
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in known:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver's own transaction control is switched off; _begin_sqlite takes over.
    connection.isolation_level = None
    cursor = connection.cursor()
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except Exception:  # the switch to WAL does not wait for locks: two first starts may meet here
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    # FULL: an accepted job survives a power cut, too; commits are few.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("interplay_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
