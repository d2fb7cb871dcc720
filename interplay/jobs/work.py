"""What a kind of job is: parameters that are checked, and work that is cut into units.

A kind is written once and used twice: the gateway validates parameters and shows their schema, the
worker runs it. Everything about leases, retries, progress and results is the runner's; a kind only
says what to do.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from interplay.capabilities import get_capability
from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, fault_message
from interplay.rpc.clients import SyncModelServerClient


class JobParams(BaseModel):
    """Base of all parameter models: unknown fields are refused, and so is ``"5"`` or ``true`` for 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def paths(self) -> dict[str, str]:
        """Data set paths by field, so that one outside the roots is refused when the job is submitted."""
        return {}


class ResultFile(BaseModel):
    """A file that a job wrote into its output folder."""

    name: str
    media_type: str
    bytes: int


class JobResult(BaseModel):
    """What a finished job leaves: numbers for people and programs, and files in ``output``."""

    summary: dict[str, Any]
    output: str
    files: list[ResultFile] = []


class ModelServers:
    """Clients of the model servers, made when first needed and shared by all jobs of a worker.

    Args:
        addresses: gRPC target by capability name; others are looked for at their default port here.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = dict(addresses)
        self._clients: dict[str, SyncModelServerClient] = {}
        self._lock = threading.Lock()

    def client(self, name: str) -> SyncModelServerClient:
        """The client of one capability."""
        capability = get_capability(name)
        with self._lock:
            if name not in self._clients:
                target = self._addresses.get(name, f"127.0.0.1:{capability.grpc_port}")
                self._clients[name] = SyncModelServerClient(capability, target)
            return self._clients[name]

    def close(self) -> None:
        """Close all channels."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()


@dataclass(frozen=True)
class JobContext:
    """What a job may use: the data sets inside the configured roots, and the model servers."""

    job_id: str
    datasets: Datasets
    models: ModelServers


@dataclass(frozen=True)
class DoneUnit:
    """A unit with the results that were committed for it, one an item."""

    items: list[Any]
    results: list[Any]


class Work(ABC):
    """One attempt at one job. Any method may run again after a crash and must then do the same.

    ``Unavailable``, ``Overloaded`` and ``DeadlineExceeded`` make the runner wait and try again;
    ``InternalError`` and exceptions that are no ``InterplayError`` end the attempt; every other
    ``InterplayError`` ends the job with that reason.
    """

    @abstractmethod
    def plan(self) -> list[list[Any]]:
        """Cut the job into units of items (JSON values). Called until it succeeds once."""

    @abstractmethod
    def run_unit(self, items: list[Any]) -> list[Any]:
        """Do one unit, in seconds to a few minutes.

        Returns:
            One result (a JSON value) for each item, in order. A bad item has a result, too.
        """

    @abstractmethod
    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the job's files from all units, in order; files appear whole or not at all."""


@dataclass(frozen=True)
class JobKind:
    """A row of the list of kinds.

    Attributes:
        name: What clients submit.
        summary: One line for people.
        params: Parameter model; its JSON schema is shown to clients.
        example: Parameters that are valid.
        capabilities: Model servers it calls.
        start: Makes the work of one attempt.
        parallel: Most workers that do units of one job at the same time; then units may be done in any
            order, and twice at the same time.
    """

    name: str
    summary: str
    params: type[JobParams]
    example: dict[str, Any]
    start: Callable[[Any, JobContext], Work]
    capabilities: tuple[str, ...] = field(default=())
    parallel: int = 1

    def validate(self, params: Any) -> JobParams:
        """Check parameters.

        Raises:
            InvalidParameter: Names the first field at fault and what is wrong with each.
        """
        try:
            return self.params.model_validate(params)
        except ValidationError as error:
            problems = [
                (".".join(str(p) for p in ("params", *fault["loc"])), fault_message(fault))
                for fault in error.errors()
            ]
            message = "; ".join(f"{where}: {what}" for where, what in problems[:5])
            raise InvalidParameter(message, field=problems[0][0]) from error
