"""Run the system in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import signal

from rich.console import Console

from interplay import __version__
from interplay.errors import Conflict
from interplay.launcher.console import ConsoleReport
from interplay.launcher.lock import hold_lock
from interplay.launcher.plan import make_plan
from interplay.launcher.ports import is_bindable
from interplay.launcher.settings import LauncherSettings
from interplay.launcher.supervisor import Supervisor


def run(settings: LauncherSettings, console: Console) -> bool:
    """Start everything and stay until Ctrl-C, SIGTERM or a part that cannot be started.

    Returns:
        Whether the end was asked for.

    Raises:
        Conflict: The port is busy, or another launcher uses the state directory.
        NotFound: An unknown capability was asked for.
        Unavailable: The embedded Valkey is missing.
    """
    settings.capabilities  # noqa: B018  an unknown name is said before anything is touched
    with hold_lock(settings.state_dir, settings.url):
        if not is_bindable(settings.host, settings.port):
            raise Conflict(
                f"port {settings.port} of {settings.host} is busy or not ours: stop what listens there, "
                "or choose another with --port"
            )
        return asyncio.run(_run(settings, console))


async def _run(settings: LauncherSettings, console: Console) -> bool:
    plan = make_plan(settings)
    console.print(
        f"Interplay {__version__}, state and logs in {settings.state_dir}; Ctrl-C stops it", soft_wrap=True
    )
    supervisor = Supervisor(
        plan.parts,
        log_directory=settings.state_dir / "logs",
        report=ConsoleReport(plan.parts, settings.url, verbose=settings.verbose, console=console),
        system_ready=plan.system_ready,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.request_stop)
    return await supervisor.run()
