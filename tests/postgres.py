"""A PostgreSQL server for tests, where PostgreSQL is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from interplay.launcher.ports import free_port


def find_postgres() -> Path | None:
    """Folder of PostgreSQL's programs, if it is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    candidates = [*folders, *([Path(on_path).parent] if on_path else [])]
    return next((folder for folder in candidates if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of our own, empty."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the psycopg driver is not installed")
    # The server refuses to run as root.
    as_user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="interplay-pg-"))
    if as_user:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    port = free_port()
    subprocess.run(
        [*as_user, programs / "initdb", "-D", folder / "data", "-U", "interplay", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    control = [*as_user, programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    yield f"postgresql://interplay@127.0.0.1:{port}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    shutil.rmtree(folder, ignore_errors=True)


def empty_database(server_url: str) -> str:
    """Empty the server's one database, which is faster than making another; its URL."""
    url = f"{server_url}/postgres"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url
