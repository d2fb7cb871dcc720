"""`interplay jobs` against a real gateway."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from interplay.cli import root
from interplay.cli.jobs import app
from interplay.jobs.table import JobError
from interplay.launcher.ports import free_port
from tests.conftest import wait_until
from tests.service.jobs_setup import GatewayThread, Setup

SUBMIT = ("submit", "filter_text_images", "-p", "input=in", "-p", "output=out")


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """One gateway; its broker is down, which submitting must survive."""
    setup = Setup(tmp_path_factory.mktemp("cli"), f"redis://127.0.0.1:{free_port()}/0")
    yield setup
    setup.close()


@dataclass
class Ran:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def interplay(url: str, *arguments: str) -> Ran:
    """Run a command to its end, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        root.run(["jobs", *arguments, "--url", url])
    code = ended.value.code
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut off in tables."""
    monkeypatch.setenv("COLUMNS", "160")


def run(setup: Setup, *arguments: str) -> str:
    """Run a command that must succeed; its standard output."""
    done = interplay(setup.url, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def finish(setup: Setup, job_id: str) -> None:
    """Be the worker: two units and a file."""
    out = setup.folder / f"data/{job_id}"
    out.mkdir()
    (out / "kept.jsonl").write_text('{"id": "a"}\n')
    lease = setup.take(job_id)
    lease.save_plan([["a"], ["b"]])
    while unit := lease.next_unit():
        lease.commit_unit(unit, [1])
    file = {"name": "kept.jsonl", "media_type": "application/jsonl", "bytes": 12}
    lease.succeed({"summary": {"kept": 1, "rule": "mmhs150k"}, "output": str(out), "files": [file]})


def test_submit_list_cancel(setup: Setup) -> None:
    job_id = run(setup, *SUBMIT, "-p", "rule.threshold=0.25", "-p", "batch_size=8").strip()
    job = setup.table.get(job_id)
    assert job.params["rule"] == {"keep": "without_text", "measure": "mean_probability", "threshold": 0.25}
    assert job.params["batch_size"] == 8
    assert job_id in run(setup, "list", "--state", "queued")
    assert job_id not in run(setup, "list", "--state", "succeeded")
    assert job_id in [job["id"] for job in json.loads(run(setup, "list", "--json"))]
    assert run(setup, "cancel", job_id).strip() == "cancelled"
    assert run(setup, "cancel", job_id).strip() == "cancelled"


def test_parameters_from_a_file_and_a_key(setup: Setup, tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"input": "in", "output": "out", "rule": {"threshold": 0.1}}))
    arguments = ("submit", "filter_text_images", "--params", str(file), "-p", "rule.keep=with_text")
    first = run(setup, *arguments, "--idempotency-key", "k1")
    assert run(setup, *arguments, "--idempotency-key", "k1") == first
    assert setup.table.get(first.strip()).params["rule"]["keep"] == "with_text"


def test_watch_to_the_end_and_fetch_the_result(setup: Setup, tmp_path: Path) -> None:
    job_id = run(setup, *SUBMIT).strip()
    watching = threading.Event()

    def work() -> None:
        wait_until(lambda: setup.gateway.jobs.open_streams > 0, what="somebody watches")
        watching.set()
        finish(setup, job_id)

    worker = threading.Thread(target=work)
    worker.start()
    done = interplay(setup.url, "watch", job_id)
    worker.join()
    assert done.returncode == 0, done.stderr
    assert watching.is_set()
    assert "queued" in done.stderr
    assert "succeeded 2/2" in done.stderr
    shown = run(setup, "result", job_id)
    assert "mmhs150k" in shown
    assert "kept.jsonl" in shown
    run(setup, "result", job_id, "-o", str(tmp_path / "got"))
    assert os.listdir(tmp_path / "got") == ["kept.jsonl"]
    assert (tmp_path / "got/kept.jsonl").read_text() == '{"id": "a"}\n'
    assert json.loads(run(setup, "result", job_id, "--json"))["summary"]["kept"] == 1


def test_progress_bar_on_a_terminal(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    job_id = run(setup, *SUBMIT).strip()
    finish(setup, job_id)
    done = interplay(setup.url, "watch", job_id)
    assert done.returncode == 0
    assert "2/2" in done.stderr


def test_watching_goes_on_after_a_restart_of_the_gateway(setup: Setup) -> None:
    job_id = run(setup, *SUBMIT).strip()
    seen: list[Ran] = []
    watcher = threading.Thread(target=lambda: seen.append(interplay(setup.url, "watch", job_id)))
    watcher.start()
    wait_until(lambda: setup.gateway.jobs.open_streams > 0, what="somebody watches")
    setup.gateway.stop()
    setup.gateway = GatewayThread(setup.settings)
    wait_until(lambda: setup.gateway.jobs.open_streams > 0, what="somebody watches again")
    finish(setup, job_id)
    watcher.join(20)
    assert seen[0].returncode == 0
    assert seen[0].stderr.count("queued") == 1  # what was seen is not told again


def test_watching_a_job_that_fails(setup: Setup) -> None:
    job_id = run(setup, *SUBMIT).strip()
    setup.take(job_id).fail(JobError("NOT_FOUND", "there is no folder 'in'"))
    done = interplay(setup.url, "watch", job_id)
    assert done.returncode == 1
    assert "failed: there is no folder 'in'" in done.stderr
    done = interplay(setup.url, "result", job_id)
    assert done.returncode == 1
    assert "no folder 'in'" in done.stderr


def test_kinds_tell_parameters_and_an_example(setup: Setup) -> None:
    shown = run(setup, "kinds", "filter_text_images")
    assert "batch_size" in shown
    assert "interplay jobs submit filter_text_images -p input=photos" in shown


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (("submit", "nope"), 1, "known: augment_dataset, build_index, classify_dataset, compare_distances, "),
        (("submit", "filter_text_images", "-p", "input=in"), 1, "params.output"),
        (("submit", "filter_text_images", "-p", "nonsense"), 2, "NAME=VALUE"),
        ((*SUBMIT[:2], "-p", "input=/etc", "-p", "output=out"), 1, "outside the data set roots"),
        (("watch", "0" * 32), 1, "there is no job"),
        (("kinds", "nope"), 1, "known: filter_text_images"),
        (("list", "--state", "lost"), 1, "state"),
    ],
)
def test_errors_are_clear(setup: Setup, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = interplay(setup.url, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_no_gateway_is_told(free_port: int) -> None:
    done = interplay(f"http://127.0.0.1:{free_port}", "watch", "0" * 32)
    assert done.returncode == 3
    assert "is `interplay up` running?" in done.stderr


def test_every_command_has_examples() -> None:
    assert [
        c.name or c.callback.__name__ for c in app.registered_commands if "Examples" not in (c.epilog or "")
    ] == []
