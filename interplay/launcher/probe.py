"""Container health check: is the server in this container up?

    python -m interplay.launcher.probe http 127.0.0.1 8080 /livez
    python -m interplay.launcher.probe grpc text_detection

Exits 0 when it is and 1 when it is not. The Dockerfile and docker-compose.yml call it; Kubernetes
has probes of its own.
"""

from __future__ import annotations

import asyncio
import sys

from interplay.capabilities import get_capability
from interplay.errors import NotFound
from interplay.launcher.probes import grpc_serving, http_ok


def main(arguments: list[str]) -> int:
    """Run the probe that the arguments name.

    Returns:
        Exit code: 0 up, 1 not up, 2 wrong arguments.
    """
    try:
        match arguments:
            case ["http", host, port, path]:
                probe = http_ok(host, int(port), path)
            case ["grpc", name]:
                capability = get_capability(name)
                probe = grpc_serving(capability, f"127.0.0.1:{capability.grpc_port}")
            case _:
                raise ValueError("want: http HOST PORT PATH, or: grpc CAPABILITY")
    except (ValueError, NotFound) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if asyncio.run(probe()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
