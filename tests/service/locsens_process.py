"""A real LocSens server process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interplay.capabilities import get_capability
from tests.service.server_process import ServerProcess

CAPABILITY = get_capability("locsens")


class LocSensProcess(ServerProcess):
    """``python -m services.locsens``; its indexes are in ``folder`` too."""

    def __init__(self, folder: Path, store: Path, **settings: Any) -> None:
        super().__init__(CAPABILITY, folder, store, 60, state_dir=folder, **settings)

    def call(self, method: str, request: Any) -> Any:
        """Call a method of ``LocSensService``, or of ``IndexService`` where the request is one of that."""
        of_indexes = request.DESCRIPTOR.file.package == "interplay.common.v1"
        stub = self.client.indexes if of_indexes else self.client.stub
        return self.client.call(getattr(stub, method), request)
