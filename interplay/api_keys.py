"""API keys: made once, shown once, kept only as hashes.

The key file is a JSON list; several keys are valid at once, so that one can be replaced without a
gap:

    [{"id": "alice", "sha256": "<64 hex digits>", "scopes": ["infer"], "rate": 50}]

Keys hold 256 random bits, so one round of SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from interplay.errors import InvalidParameter
from interplay.telemetry.logging import get_logger

SCOPES = ("infer", "jobs", "admin")

_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_FIELDS = {"id", "sha256", "scopes", "rate"}

log = get_logger(__name__)


class ApiKeyFileError(Exception):
    """The key file cannot be read or has a bad entry; the message names it."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key.

    Attributes:
        id: Name for logs and rate limits; no secret.
        sha256: Hash of the secret, 64 hexadecimal digits.
        scopes: Some of ``SCOPES``; ``admin`` includes the others.
        rate: Requests a second for this key; None takes the gateway's default, 0 is unlimited.
    """

    id: str
    sha256: str
    scopes: frozenset[str]
    rate: float | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key may do what ``scope`` covers."""
        return scope in self.scopes or "admin" in self.scopes


def hash_secret(secret: str) -> str:
    """SHA-256 of a secret, 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def load_api_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read a key file.

    Raises:
        ApiKeyFileError: Missing, not JSON, or an entry is wrong.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ApiKeyFileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ApiKeyFileError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise ApiKeyFileError(f"{path} must hold a JSON list of keys")
    keys = tuple(_parse_entry(entry, f"{path}, entry {index}") for index, entry in enumerate(entries))
    ids = [key.id for key in keys]
    if repeated := {name for name in ids if ids.count(name) > 1}:
        raise ApiKeyFileError(f"{path}: the id {sorted(repeated)[0]!r} is there twice")
    return keys


def _parse_entry(entry: object, where: str) -> ApiKey:
    if not isinstance(entry, dict):
        raise ApiKeyFileError(f"{where}: must be an object with id, sha256 and scopes")
    if unknown := sorted(set(entry) - _FIELDS):
        raise ApiKeyFileError(f"{where}: unknown field {unknown[0]!r}")
    name, digest, scopes, rate = (entry.get(field) for field in ("id", "sha256", "scopes", "rate"))
    if not isinstance(name, str) or not _ID.match(name):
        raise ApiKeyFileError(f"{where}: id must be 1 to 64 letters, digits, dots, dashes or underscores")
    if not isinstance(digest, str) or not _SHA256.match(digest):
        raise ApiKeyFileError(f"{where}: sha256 must be 64 lower-case hexadecimal digits")
    if not isinstance(scopes, list) or not scopes or not all(scope in SCOPES for scope in scopes):
        raise ApiKeyFileError(f"{where}: scopes must be a list of {', '.join(SCOPES)}")
    if rate is not None and (
        isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1e6
    ):
        raise ApiKeyFileError(f"{where}: rate must be requests a second, from 0 to 1000000")
    return ApiKey(name, digest, frozenset(scopes), rate)


def create_api_key(path: Path, key_id: str, scopes: list[str], *, rate: float | None = None) -> str:
    """Add a new key to a key file, which is created if missing, and return its secret.

    The file is replaced by rename and is readable by its owner only.

    Returns:
        The secret. It is kept nowhere: show it once.

    Raises:
        InvalidParameter: Bad id, scope or rate, or the id is taken.
        ApiKeyFileError: The existing file is broken.
    """
    secret = f"ip_{secrets.token_urlsafe(32)}"
    entry: dict[str, object] = {"id": key_id, "sha256": hash_secret(secret), "scopes": sorted(set(scopes))}
    if rate is not None:
        entry["rate"] = rate
    try:
        _parse_entry(entry, "new key")
    except ApiKeyFileError as error:
        raise InvalidParameter(str(error)) from error
    existing = load_api_keys(path) if path.exists() else ()
    if any(key.id == key_id for key in existing):
        raise InvalidParameter(f"{path} already has a key with the id {key_id!r}", field="id")
    entries = json.loads(path.read_text(encoding="utf-8")) if existing else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        json.dump([*entries, entry], file, indent=2)
        file.write("\n")
    os.replace(file.name, path)
    return secret


class KeyRing:
    """The valid keys, read again when the file changes; no restart is needed to add or revoke one.

    A file that turns bad keeps the last good keys and logs the fault once.

    Args:
        path: Key file; None means that keys are not used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()
        self._keys = load_api_keys(path) if path else ()

    @property
    def required(self) -> bool:
        """Whether callers must show a key."""
        return self._path is not None

    def find(self, secret: str) -> ApiKey | None:
        """The key with this secret, or None."""
        self._reload_if_changed()
        digest = hash_secret(secret)
        found = None
        for key in self._keys:  # all are compared, so that the time tells nothing
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def _reload_if_changed(self) -> None:
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = load_api_keys(self._path)
        except ApiKeyFileError as error:
            log.error("api_keys_not_reloaded", fault=str(error))
        else:
            log.info("api_keys_reloaded", keys=len(self._keys))
