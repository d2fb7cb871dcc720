"""The whole system as a user starts it, for end-to-end tests."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import httpx
from PIL import Image, ImageDraw, ImageFont

from tests.conftest import wait_until


def street_photo(text: str = "INTERPLAY", size: tuple[int, int] = (640, 360)) -> bytes:
    """A JPEG with one large word on a plain wall: easy to find, easy to read."""
    image = Image.new("RGB", size, (205, 190, 170))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, size[1] * 3 // 4, size[0], size[1]), fill=(90, 90, 95))
    font = ImageFont.load_default(size[1] / 5)
    draw.text((size[0] / 2, size[1] / 2.6), text, fill=(25, 30, 60), font=font, anchor="mm")
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()


class System:
    """``interplay up`` as a child process with its own state directory.

    Attributes:
        url: Of the gateway.
        process: The launcher.
        output: What it printed so far is in this file.
    """

    def __init__(self, state: Path, port: int, *arguments: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.state = state
        self.output = state.parent / "up.log"
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "interplay.cli",
                    "up",
                    "--port",
                    str(port),
                    "--data-dir",
                    str(state),
                    *arguments,
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self, timeout_s: float = 90.0) -> None:
        """Wait for the line that users wait for."""

        def ready() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return f"ready {self.url}\n" in self.output.read_text()

        wait_until(ready, timeout_s=timeout_s, what="interplay up prints its ready line")

    def is_ready(self) -> bool:
        """Whether ``/readyz`` is 200 now."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def part_pid(self, module: str) -> int:
        """Process id of the child that runs ``python -m module``."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_text().split("\0")
                environment = (folder / "environ").read_text()
            except OSError:
                continue
            own = f"INTERPLAY_STATE_DIR={self.state}" in environment or self._is_descendant(int(folder.name))
            if "-m" in command and module in command and own:
                return int(folder.name)
        raise AssertionError(f"no process runs {module}")

    def _is_descendant(self, pid: int) -> bool:
        while pid > 1:
            if pid == self.process.pid:
                return True
            try:
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                return False
        return False

    def resident_kb(self, module: str) -> int:
        """Resident memory of a part."""
        status = Path(f"/proc/{self.part_pid(module)}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()
