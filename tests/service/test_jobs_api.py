"""``/v1/jobs`` over HTTP: the gateway with a real job table and Valkey; the worker where work is done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from gateway.routes import jobs as routes
from interplay.api_keys import create_api_key
from interplay.jobs import sweep
from interplay.jobs.table import JobError, JobTable
from interplay.launcher.ports import free_port
from tests.conftest import ValkeyProcess, wait_until
from tests.fake_text_detection import FakeTextDetection, picture
from tests.service.jobs_setup import BODY, PARAMS, Setup
from tests.service.worker_process import WorkerProcess


@pytest.fixture
def setup(tmp_path: Path, redis_url: str) -> Iterator[Setup]:
    setup = Setup(tmp_path, redis_url)
    yield setup
    setup.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, shared_valkey: ValkeyProcess) -> Iterator[Setup]:
    """One gateway for the tests that are refused and so leave nothing behind."""
    setup = Setup(tmp_path_factory.mktemp("shared"), shared_valkey.url)
    yield setup
    setup.close()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()  # type: ignore[no-any-return]


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Server-sent events with their data."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        event[name] = json.loads(value) if name == "data" else value


def test_submit_answers_with_the_job(setup: Setup) -> None:
    answer = setup.client.post("/v1/jobs", json=BODY, headers={"X-Request-Id": "mine"})
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{body['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert (body["state"], body["request_id"], body["progress"]) == (
        "queued",
        "mine",
        {"done": 0, "total": None},
    )
    assert body["params"] == {**PARAMS, "batch_size": 64, "examples": 24, "overwrite": False} | {
        "rule": {"keep": "without_text", "measure": "mean_probability", "threshold": 0.5}
    }
    assert setup.client.get(answer.headers["location"]).json() == body
    assert setup.gateway.jobs._dispatcher.messages() == 1


def test_idempotency_key_replays(setup: Setup) -> None:
    first = setup.client.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "k1"})
    again = setup.client.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "k1"})
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = {**BODY, "params": {**PARAMS, "output": "out2"}}
    refused = problem(setup.client.post("/v1/jobs", json=other, headers={"Idempotency-Key": "k1"}), 422)
    assert refused["reason"] == "IDEMPOTENCY_MISMATCH"


@pytest.mark.parametrize(
    "body, status, told",
    [
        ({"kind": "deep_dream", "params": {"image": "a", "octaves": 99}}, 422, "or equal to 8, got 99"),
        ({"kind": "nope", "params": {}}, 422, "known: augment_dataset, build_index, classify_dataset, "),
        ({"params": PARAMS}, 422, "kind"),
        ({"kind": "filter_text_images"}, 422, "params.input"),
        ({**BODY, "extra": 1}, 422, "extra"),
        ({**BODY, "params": {**PARAMS, "extra": 1}}, 422, "params.extra"),
        ({**BODY, "params": {**PARAMS, "batch_size": 0}}, 422, "params.batch_size"),
        ({**BODY, "params": {**PARAMS, "input": "../in"}}, 403, "outside the data set roots"),
        ({**BODY, "params": {**PARAMS, "output": "/etc"}}, 403, "outside the data set roots"),
        ({**BODY, "params": {**PARAMS, "output": "s3://bucket/out"}}, 403, "scheme 's3'"),
        ({**BODY, "params": {**PARAMS, "input": "a\ud800b"}}, 422, "params.input"),
        ({**BODY, "params": {**PARAMS, "input": "a\u0000b"}}, 403, "no path has"),
        ({**BODY, "params": [1]}, 422, "params"),
        ([], 422, ""),
    ],
)
def test_bad_submissions(shared: Setup, body: Any, status: int, told: str) -> None:
    content = json.dumps(body).encode()
    answer = shared.client.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert told in problem(answer, status)["detail"]
    assert shared.table.list().jobs == ()


@pytest.mark.parametrize("key", ["", "a b", "k" * 129])
def test_bad_idempotency_keys(shared: Setup, key: str) -> None:
    problem(shared.client.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": key}), 422)


@pytest.mark.parametrize("path", ["", "/result", "/result/kept.jsonl", "/events"])
@pytest.mark.parametrize("job_id", ["0" * 32, "nope", "%00", "x" * 500, "é"])
def test_unknown_job_is_404(shared: Setup, path: str, job_id: str) -> None:
    assert problem(shared.client.get(f"/v1/jobs/{job_id}{path}"), 404)["reason"] == "NOT_FOUND"


def test_list_pages_and_filters(setup: Setup) -> None:
    ids = [setup.submit()["id"] for _ in range(5)]
    setup.client.post(f"/v1/jobs/{ids[0]}:cancel")
    first = setup.client.get("/v1/jobs", params={"page_size": 3}).json()
    rest = setup.client.get(
        "/v1/jobs", params={"page_size": 3, "page_token": first["next_page_token"]}
    ).json()
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next_page_token"] == ""
    cancelled = setup.client.get("/v1/jobs", params={"state": "cancelled"}).json()
    assert [job["id"] for job in cancelled["jobs"]] == [ids[0]]
    assert setup.client.get("/v1/jobs", params={"kind": "other"}).json()["jobs"] == []
    for bad in ({"page_size": 0}, {"page_size": 201}, {"state": "lost"}, {"page_token": "x"}, {"kind": "%"}):
        problem(setup.client.get("/v1/jobs", params=bad), 422)


def test_cancel_is_idempotent(setup: Setup) -> None:
    job_id = setup.submit()["id"]
    first = setup.client.post(f"/v1/jobs/{job_id}:cancel")
    again = setup.client.post(f"/v1/jobs/{job_id}:cancel")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["state"] == "cancelled"
    problem(setup.client.post(f"/v1/jobs/{'0' * 32}:cancel"), 404)


def finish(setup: Setup, job_id: str) -> None:
    out = setup.folder / "data/out"
    out.mkdir()
    (out / "kept.jsonl").write_text('{"id": "a"}\n')
    lease = setup.take(job_id)
    file = {"name": "kept.jsonl", "media_type": "application/jsonl", "bytes": 12}
    lease.succeed({"summary": {"kept": 1}, "output": str(out), "files": [file]})


def test_result_comes_when_it_is_done_and_goes_when_it_expires(setup: Setup) -> None:
    job_id = setup.submit()["id"]
    path = f"/v1/jobs/{job_id}/result"
    assert "queued" in problem(setup.client.get(path), 409)["detail"]
    finish(setup, job_id)
    result = setup.client.get(path).json()
    assert (result["job_id"], result["summary"]) == (job_id, {"kept": 1})
    assert [file["name"] for file in result["files"]] == ["kept.jsonl"]
    file = setup.client.get(f"{path}/kept.jsonl")
    assert file.text == '{"id": "a"}\n'
    assert file.headers["content-type"] == "application/jsonl"
    assert file.headers["content-length"] == "12"
    assert "kept.jsonl" in file.headers["content-disposition"]
    for name in ("dropped.jsonl", "..%2F..%2Fstate%2Fjobs.sqlite3", "%2e%2e"):
        assert setup.client.get(f"{path}/{name}").status_code == 404
    (setup.folder / "data/out/kept.jsonl").unlink()
    assert "was removed" in problem(setup.client.get(f"{path}/kept.jsonl"), 404)["detail"]

    later = JobTable(setup.database, clock=lambda: time.time() + 25 * 3600)
    sweep.expire(later)
    assert problem(setup.client.get(path), 410)["reason"] == "EXPIRED"
    assert problem(setup.client.get(f"{path}/kept.jsonl"), 410)["reason"] == "EXPIRED"
    assert problem(setup.client.get(f"/v1/jobs/{job_id}/events"), 410)["reason"] == "EXPIRED"
    assert setup.client.get(f"/v1/jobs/{job_id}").json()["state"] == "expired"


def test_failed_job_has_no_result_but_a_reason(setup: Setup) -> None:
    job_id = setup.submit()["id"]
    setup.take(job_id).fail(JobError("NOT_FOUND", "there is no folder 'in'"))
    assert "no folder 'in'" in problem(setup.client.get(f"/v1/jobs/{job_id}/result"), 409)["detail"]
    assert setup.client.get(f"/v1/jobs/{job_id}").json()["error"] == {
        "reason": "NOT_FOUND",
        "message": "there is no folder 'in'",
    }


def test_events_tell_progress_and_end(setup: Setup) -> None:
    job_id = setup.submit()["id"]
    with setup.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = events(response)
        assert next(stream)["data"]["state"] == "queued"
        lease = setup.take(job_id)
        lease.save_plan([["a"], ["b"]])
        assert next(stream)["data"]["state"] == "running"
        unit = lease.next_unit()
        assert unit is not None
        lease.commit_unit(unit, [1])
        last = next(stream)
        while last["data"]["progress"]["done"] == 0:
            last = next(stream)
        assert last["data"]["progress"] == {"done": 1, "total": 2}
        lease.succeed({"summary": {}, "output": "", "files": []})
        end = next(stream)
        assert (end["event"], end["data"]["state"]) == ("end", "succeeded")
        assert list(stream) == []
    path = f"/v1/jobs/{job_id}/events"
    # Going on where one was cut off: what is known is left out, and whoever knows the end is sent home.
    with setup.client.stream("GET", path, headers={"Last-Event-ID": last["id"]}) as response:
        assert [event["event"] for event in events(response)] == ["end"]
    assert setup.client.get(path, headers={"Last-Event-ID": end["id"]}).status_code == 204


def test_events_keep_the_line_open(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(routes, "POLL_S", 0.05)
    job_id = setup.submit()["id"]
    with setup.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        lines = response.iter_lines()
        assert any(line.startswith(":") for line in lines)


def test_clients_that_leave_are_forgotten(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "POLL_S", 0.05)
    job_id = setup.submit()["id"]
    for _ in range(3):
        with setup.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
            lines = response.iter_lines()
            next(lines)
            assert setup.gateway.jobs.open_streams >= 1
    wait_until(lambda: setup.gateway.jobs.open_streams == 0, what="streams are closed")
    monkeypatch.setattr(routes, "MAX_STREAMS", 0)
    problem(setup.client.get(f"/v1/jobs/{job_id}/events"), 429)


def test_job_kinds_tell_their_schema(setup: Setup) -> None:
    kinds = setup.client.get("/v1/job-kinds").json()["kinds"]
    assert {kind["name"]: kind["capabilities"] for kind in kinds} == {
        "filter_text_images": ["text_detection"],
        "augment_dataset": ["style_transfer"],
        "build_index": ["embedding", "locsens"],
        "map_embedding": ["embedding"],
        "compare_distances": ["embedding"],
        "show_units": ["embedding"],
        "deep_dream": ["embedding"],
        "classify_dataset": ["hate_classifier"],
    }
    for kind in kinds:
        assert set(kind["params_schema"]["required"]) & {"input", "image"}
        accepted = setup.client.post("/v1/jobs", json={"kind": kind["name"], "params": kind["example"]})
        assert accepted.status_code == 202


def test_broker_down_delays_and_does_not_refuse(tmp_path: Path) -> None:
    setup = Setup(tmp_path, f"redis://127.0.0.1:{free_port()}/0")
    try:
        job_id = setup.submit()["id"]
        assert [job.id for job in sweep.due_for_dispatch(setup.table, resend_after_s=None)] == [job_id]
    finally:
        setup.close()


@pytest.mark.parametrize(
    "method, path", [("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", f"/v1/jobs/{'0' * 32}")]
)
def test_database_down_is_503(shared: Setup, monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    def down() -> None:
        raise OperationalError("SELECT", None, Exception("connection refused"))

    monkeypatch.setattr(shared.gateway.jobs._database, "read", down)
    monkeypatch.setattr(shared.gateway.jobs._database, "write", down)
    answer = shared.client.request(method, path, json=BODY if method == "POST" else None)
    assert problem(answer, 503)["detail"] == "the job database does not answer"
    assert answer.headers["retry-after"] == "2"


def test_keys_see_their_own_jobs_and_admin_all(tmp_path: Path, redis_url: str) -> None:
    keys = tmp_path / "keys.json"
    secrets = {
        name: create_api_key(keys, name, scopes)
        for name, scopes in {"ann": ["jobs"], "bob": ["jobs"], "root": ["admin"], "eye": ["infer"]}.items()
    }
    setup = Setup(tmp_path, redis_url, api_keys_file=keys)
    try:

        def ask(name: str, method: str, path: str, **options: Any) -> httpx.Response:
            return setup.client.request(method, path, headers={"X-API-Key": secrets[name]}, **options)

        job_id = ask("ann", "POST", "/v1/jobs", json=BODY).json()["id"]
        assert ask("ann", "GET", f"/v1/jobs/{job_id}").status_code == 200
        for path in ("", "/result", "/events"):
            assert ask("bob", "GET", f"/v1/jobs/{job_id}{path}").status_code == 404
        assert ask("bob", "POST", f"/v1/jobs/{job_id}:cancel").status_code == 404
        assert ask("bob", "GET", "/v1/jobs").json()["jobs"] == []
        assert [job["id"] for job in ask("root", "GET", "/v1/jobs").json()["jobs"]] == [job_id]
        assert ask("eye", "GET", "/v1/jobs").status_code == 403
        assert setup.client.get("/v1/jobs").status_code == 401
    finally:
        setup.close()


@pytest.mark.slow
def test_from_submission_to_the_contact_sheet(setup: Setup) -> None:
    server = FakeTextDetection(free_port())
    server.start()
    worker = WorkerProcess(setup.folder, setup.settings.redis_url, server.target)
    try:
        for number in range(20):
            (setup.folder / f"data/in/{number}.png").write_bytes(picture(number / 20, number=number))
        job_id = setup.submit()["id"]
        worker.start()
        with setup.client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
            end = list(events(response))[-1]
        assert (end["event"], end["data"]["state"]) == ("end", "succeeded"), end
        result = setup.client.get(f"/v1/jobs/{job_id}/result").json()
        assert (result["summary"]["kept"], result["summary"]["dropped"]) == (10, 10)
        for file in result["files"]:
            content = setup.client.get(f"/v1/jobs/{job_id}/result/{file['name']}").content
            assert len(content) == file["bytes"]
    finally:
        worker.kill()
        server.stop()
