"""``python -m gateway``: serve HTTP until SIGTERM or SIGINT, then finish what is in progress."""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from gateway.main import create_app
from gateway.settings import GatewaySettings
from interplay.settings import load_settings
from interplay.telemetry.logging import configure_logging, get_logger
from interplay.telemetry.metrics import serve_metrics
from interplay.telemetry.tracing import configure_tracing

log = get_logger(__name__)

# Longer than the idle time of common load balancers (60 s), so that it is they who close.
_KEEP_ALIVE_S = 75


class GatewayServer(uvicorn.Server):
    """Uvicorn that turns not ready first, serves on for a while, and only then stops accepting."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, delay_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._delay_s = delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain; a second SIGINT: stop at once."""
        state = getattr(self._app.state, "gateway", None)
        if state is None or state.draining:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True
            return
        state.draining = True
        log.info("gateway_draining", signal=signal.Signals(sig).name, serving_on_s=self._delay_s)
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._delay_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def main() -> None:
    """Run the gateway with the settings of the environment."""
    settings = load_settings(GatewaySettings)
    configure_logging("gateway", level=settings.log_level, log_format=settings.log_format)
    configure_tracing("gateway", settings.otlp_endpoint)
    try:
        if settings.metrics_port:
            serve_metrics(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        sys.exit(f"bad configuration: INTERPLAY_METRICS_PORT: {settings.metrics_port}: {error.strerror}")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips or None,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.shutdown_grace_s) or None,
    )
    log.info("gateway_starting", host=settings.host, port=settings.port)
    GatewayServer(config, app, settings.shutdown_delay_s).run()


if __name__ == "__main__":
    main()
