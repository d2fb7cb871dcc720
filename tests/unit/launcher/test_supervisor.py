"""The supervisor over small real processes: start order, restarts, giving up, stop order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interplay.launcher.supervisor import Part, RestartPolicy, Supervisor

FAST = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.05, calm_after_s=60, attempts_to_start=3)

# A part is up once it has written its process id; on SIGTERM it notes that in a journal and ends.
OBEDIENT = """
import os, pathlib, signal, sys
directory, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def end(*_):
    with (directory / "journal").open("a") as journal:
        journal.write(f"{name} ended\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(directory / f"{name}.new").write_text(str(os.getpid()))
(directory / f"{name}.new").rename(directory / f"{name}.pid")
while True:
    signal.pause()
"""
STUBBORN = OBEDIENT.replace(
    "signal.signal(signal.SIGTERM, end)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
)


class Recorder:
    """A report that remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def starting(self, part: Part) -> None:
        self.events.append(("starting", part.name))

    def up(self, part: Part, seconds: float, *, again: bool) -> None:
        self.events.append(("up again" if again else "up", part.name))

    def slow(self, part: Part, seconds: float) -> None:
        self.events.append(("slow", part.name))

    def died(self, part: Part, how: str, lines: Sequence[str], delay_s: float) -> None:
        self.events.append(("died", part.name, how, f"{delay_s:g}", *lines))

    def gave_up(self, part: Part, how: str, lines: Sequence[str], log: Path) -> None:
        self.events.append(("gave up", part.name, how, *lines))

    def not_ready(self, seconds: float) -> None:
        self.events.append(("not ready",))

    def ready(self) -> None:
        self.events.append(("ready",))

    def stopping(self, part: Part) -> None:
        self.events.append(("stopping", part.name))

    def stopped(self, part: Part, *, gracefully: bool) -> None:
        self.events.append(("stopped" if gracefully else "killed", part.name))

    def count(self, *event: str) -> int:
        """How often something happened."""
        return sum(recorded[: len(event)] == event for recorded in self.events)


class System:
    """Parts in a scratch directory, and what a supervisor said about them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recorder = Recorder()
        self.answers = True

    def part(self, name: str, program: str = OBEDIENT, **fields: object) -> Part:
        """A part whose process id in a file says that it is up."""

        async def is_up() -> bool:
            return self.pid(name) is not None

        return Part(
            name=name,
            command=(sys.executable, "-c", program, str(self.directory), name),
            environment={},
            probe=is_up,
            **fields,  # type: ignore[arg-type]
        )

    def pid(self, name: str) -> int | None:
        """Process id of a part that is up."""
        try:
            pid = int((self.directory / f"{name}.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def supervisor(self, *parts: Part, policy: RestartPolicy = FAST) -> Supervisor:
        """A supervisor of these parts."""

        async def system_ready() -> bool:
            return self.answers

        return Supervisor(
            parts,
            log_directory=self.directory / "logs",
            report=self.recorder,
            system_ready=system_ready,
            policy=policy,
            poll_s=0.01,
            patience_s=0.05,
        )

    def journal(self) -> list[str]:
        """What parts noted at their end, in order."""
        return (self.directory / "journal").read_text().splitlines()


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


async def until(condition: Callable[[], object]) -> None:
    """Poll until a condition is true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[bool]]:
    """Run a supervisor; whatever happens in the test, end its processes."""
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        supervisor.request_stop()
        supervisor.request_stop()
        await task


async def test_parts_come_up_after_what_they_need_and_stop_in_order(system: System) -> None:
    parts = (
        system.part("valkey", stop_rank=2),
        system.part("server", stop_rank=1),
        system.part("gateway", stop_rank=0, needs=("valkey",)),
    )
    supervisor = system.supervisor(*parts)
    async with running(supervisor) as task:
        await until(lambda: system.recorder.count("ready"))
        events = system.recorder.events
        assert events.index(("up", "valkey")) < events.index(("starting", "gateway"))
        supervisor.request_stop()
        assert await task is True
    assert system.journal() == ["gateway ended", "server ended", "valkey ended"]
    assert [e for e in events if e[0] in ("stopping", "stopped")] == [
        (what, name) for name in ("gateway", "server", "valkey") for what in ("stopping", "stopped")
    ]
    assert all(system.pid(name) is None for name in ("valkey", "server", "gateway"))


async def test_ready_waits_for_the_whole_system(system: System) -> None:
    system.answers = False
    async with running(system.supervisor(system.part("gateway"))):
        await until(lambda: system.recorder.count("up", "gateway"))
        await until(lambda: system.recorder.count("not ready"))
        assert not system.recorder.count("ready")
        system.answers = True
        await until(lambda: system.recorder.count("ready"))
        assert system.recorder.count("not ready") == 1


async def test_a_killed_part_is_started_again_with_growing_delay(system: System) -> None:
    async with running(system.supervisor(system.part("server"), system.part("gateway"))):
        await until(lambda: system.recorder.count("ready"))
        for death in (1, 2, 3, 4):
            pid = system.pid("server")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda death=death: system.recorder.count("up again", "server") == death)  # type: ignore[misc]
        delays = [event[3] for event in system.recorder.events if event[:2] == ("died", "server")]
        assert delays == ["0.01", "0.02", "0.04", "0.05"]
        assert all(e[2] == "was killed by SIGKILL" for e in system.recorder.events if e[0] == "died")
        assert system.recorder.count("starting", "gateway") == 1
        assert system.recorder.count("ready") == 1


async def test_a_calm_part_starts_over_with_the_first_delay(system: System) -> None:
    policy = RestartPolicy(first_delay_s=0.01, longest_delay_s=1, calm_after_s=0)
    async with running(system.supervisor(system.part("server"), policy=policy)):
        for death in (1, 2):
            await until(lambda death=death: system.recorder.count("starting", "server") == death)  # type: ignore[misc]
            await until(lambda: system.pid("server"))
            os.kill(system.pid("server") or 0, signal.SIGKILL)
            await until(lambda death=death: system.recorder.count("died", "server") == death)  # type: ignore[misc]
        assert [event[3] for event in system.recorder.events if event[0] == "died"] == ["0.01", "0.01"]


async def test_a_part_that_never_comes_up_is_given_up_and_everything_stops(system: System) -> None:
    broken = system.part("broken", "import sys; sys.exit('no such model')")
    supervisor = system.supervisor(system.part("server"), broken)
    async with running(supervisor) as task:
        assert await task is False
    assert system.recorder.count("starting", "broken") == FAST.attempts_to_start
    assert ("died", "broken", "ended with status 1", "0.01", "no such model") in system.recorder.events
    gave_up = [event for event in system.recorder.events if event[0] == "gave up"]
    assert gave_up == [("gave up", "broken", "ended with status 1", "no such model")]
    assert system.pid("server") is None


async def test_bad_configuration_is_not_tried_again(system: System) -> None:
    broken = system.part("broken", "import sys; print('bad configuration: X', file=sys.stderr); sys.exit(2)")
    async with running(system.supervisor(broken)) as task:
        assert await task is False
    assert system.recorder.events == [
        ("starting", "broken"),
        ("gave up", "broken", "ended with status 2", "bad configuration: X"),
    ]


async def test_a_command_that_does_not_exist_ends_the_start(system: System) -> None:
    missing = Part(name="missing", command=("/nonexistent",), environment={}, probe=system.part("x").probe)
    async with running(system.supervisor(missing)) as task:
        assert await task is False
    assert system.recorder.count("gave up", "missing") == 1


async def test_a_part_that_does_not_answer_in_time_is_killed_and_tried_again(system: System) -> None:
    mute = system.part("mute", "import time; time.sleep(600)", start_timeout_s=0.05)
    async with running(system.supervisor(mute)) as task:
        assert await task is False
    assert system.recorder.count("slow", "mute") == FAST.attempts_to_start
    assert system.recorder.count("gave up", "mute", "was killed by SIGKILL") == 1


async def test_what_does_not_stop_is_killed_after_its_grace(system: System) -> None:
    supervisor = system.supervisor(system.part("server", STUBBORN, grace_s=0.2))
    async with running(supervisor) as task:
        await until(lambda: system.recorder.count("ready"))
        supervisor.request_stop()
        assert await task is True
    assert system.recorder.events[-1] == ("killed", "server")
    assert system.pid("server") is None


async def test_a_second_request_kills_at_once(system: System) -> None:
    supervisor = system.supervisor(system.part("server", STUBBORN, grace_s=600))
    async with running(supervisor) as task:
        await until(lambda: system.recorder.count("ready"))
        supervisor.request_stop()
        await until(lambda: system.recorder.count("stopping", "server"))
        supervisor.request_stop()
        async with asyncio.timeout(20):
            assert await task is True
    assert system.pid("server") is None


async def test_stop_during_the_start_leaves_nothing(system: System) -> None:
    waiting = system.part("waiting", needs=("mute",))
    supervisor = system.supervisor(system.part("mute", "import time; time.sleep(600)", grace_s=5), waiting)
    async with running(supervisor) as task:
        await until(lambda: system.recorder.count("starting", "mute"))
        supervisor.request_stop()
        assert await task is True
    assert system.recorder.count("starting", "waiting") == 0


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (10_000, 30)])
def test_delays_double_up_to_a_limit(failures: int, delay_s: float) -> None:
    assert RestartPolicy().delay_s(failures) == delay_s


async def test_a_part_that_somebody_else_stopped_in_order_is_missed_at_once(system: System) -> None:
    async with running(system.supervisor(system.part("server"))):
        await until(lambda: system.recorder.count("ready"))
        os.kill(system.pid("server") or 0, signal.SIGTERM)
        await until(lambda: system.recorder.count("up again", "server"))
        assert system.recorder.count("died", "server", "ended with status 0", "0") == 1
