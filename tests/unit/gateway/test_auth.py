"""API keys, scopes and rate limits over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interplay.api_keys import create_api_key
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter


class Keyed:
    """A gateway that asks for keys, and one key a scope."""

    def __init__(self, start: Starter, path: Path) -> None:
        self.path = path
        self.secrets = {scope: create_api_key(path, scope, [scope]) for scope in ("infer", "jobs", "admin")}
        self.gateway: RunningGateway = start(api_keys_file=path)

    def get(self, path: str, scope: str) -> int:
        return self.gateway.client.get(path, headers={"X-API-Key": self.secrets[scope]}).status_code


@pytest.fixture
def keyed(start_gateway: Starter, tmp_path: Path) -> Keyed:
    return Keyed(start_gateway, tmp_path / "keys.json")


def test_without_a_key_only_probes_and_the_description_answer(
    keyed: Keyed, model_server: FakeTextServer
) -> None:
    client = keyed.gateway.client
    for path in ("/livez", "/readyz", "/openapi.json", "/docs"):
        assert client.get(path).status_code == 200, path
    for path in ("/v1/models", "/v1/jobs", "/metrics", "/unknown"):
        response = client.get(path)
        assert response.status_code == 401, path
        assert response.json()["reason"] == "UNAUTHENTICATED"
        assert "X-API-Key" in response.json()["detail"]
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert keyed.gateway.post_image("/v1/text:read").status_code == 401
    assert model_server.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": "ż".encode()},  # type: ignore[dict-item]
    ],
)
def test_wrong_keys_are_refused(keyed: Keyed, headers: dict[str, str]) -> None:
    response = keyed.gateway.client.get("/v1/models", headers=headers)
    assert response.status_code == 401
    assert "wrong" not in response.text


def test_both_headers_work(keyed: Keyed) -> None:
    secret = keyed.secrets["infer"]
    for headers in (
        {"X-API-Key": secret},
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer {secret}"},
    ):
        assert keyed.gateway.post_image("/v1/text:read", headers=headers).status_code == 200


def test_scopes_are_kept_apart(keyed: Keyed) -> None:
    allowed = {
        (path, scope): keyed.get(path, scope)
        for path in ("/v1/models", "/v1/jobs", "/metrics")
        for scope in keyed.secrets
    }
    assert allowed == {
        ("/v1/models", "infer"): 200,
        ("/v1/models", "jobs"): 403,
        ("/v1/models", "admin"): 200,
        ("/v1/jobs", "infer"): 403,
        ("/v1/jobs", "jobs"): 200,
        ("/v1/jobs", "admin"): 200,
        ("/metrics", "infer"): 403,
        ("/metrics", "jobs"): 403,
        ("/metrics", "admin"): 200,
    }


def test_the_scope_that_lacks_is_named(keyed: Keyed) -> None:
    headers = {"X-API-Key": keyed.secrets["jobs"]}
    response = keyed.gateway.post_image("/v1/text:read", headers=headers)
    assert response.status_code == 403
    assert "'infer'" in response.json()["detail"]


def test_keys_are_added_and_revoked_while_running(keyed: Keyed) -> None:
    added = create_api_key(keyed.path, "late", ["infer"])
    headers = {"X-API-Key": added}
    assert keyed.gateway.client.get("/v1/models", headers=headers).status_code == 200
    entries = [entry for entry in json.loads(keyed.path.read_text()) if entry["id"] != "late"]
    keyed.path.write_text(json.dumps(entries))
    assert keyed.gateway.client.get("/v1/models", headers=headers).status_code == 401
    assert keyed.get("/v1/models", "infer") == 200


def test_a_caller_over_its_rate_gets_429(start_gateway: Starter) -> None:
    running = start_gateway(rate_limit=0.01, rate_burst_s=200)
    responses = [running.client.get("/v1/models") for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert [response.headers["ratelimit-remaining"] for response in responses] == ["1", "0", "0"]
    refused = responses[-1]
    assert refused.json()["reason"] == "RATE_LIMITED"
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert refused.headers["ratelimit-limit"] == "2"
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        response = running.client.get(path)
        assert response.status_code == 200
        assert "ratelimit-limit" not in response.headers


def test_each_key_has_its_own_rate(start_gateway: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    slow = create_api_key(path, "slow", ["infer"], rate=0.005)
    free = create_api_key(path, "free", ["infer"], rate=0)
    running = start_gateway(api_keys_file=path, rate_burst_s=200)
    codes = {
        name: [running.client.get("/v1/models", headers={"X-API-Key": key}).status_code for _ in range(3)]
        for name, key in (("slow", slow), ("free", free))
    }
    assert codes == {"slow": [200, 429, 429], "free": [200, 200, 200]}


def test_guessing_keys_uses_up_the_address(start_gateway: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    good = create_api_key(path, "good", ["infer"], rate=0)
    running = start_gateway(api_keys_file=path, rate_limit=0.01, rate_burst_s=200)
    codes = [
        running.client.get("/v1/models", headers={"X-API-Key": f"guess{i}"}).status_code for i in range(4)
    ]
    assert codes == [401, 401, 429, 429]
    assert running.client.get("/v1/models", headers={"X-API-Key": good}).status_code == 200


def test_without_limits_no_headers_are_sent(gateway: RunningGateway) -> None:
    assert "ratelimit-limit" not in gateway.client.get("/v1/models").headers


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080"]
)
def test_without_keys_loopback_names_are_answered(gateway: RunningGateway, host: str) -> None:
    assert gateway.client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "[::2]", "10.0.0.1"]
)
def test_without_keys_a_page_that_rebinds_its_name_is_refused(gateway: RunningGateway, host: str) -> None:
    response = gateway.client.get("/v1/models", headers={"Host": host})
    assert response.status_code == 403
    assert "localhost" in response.json()["detail"]
    assert gateway.client.get("/livez", headers={"Host": host}).status_code == 200


def test_with_keys_any_host_name_is_answered(keyed: Keyed) -> None:
    headers = {"Host": "interplay.example", "X-API-Key": keyed.secrets["infer"]}
    assert keyed.gateway.client.get("/v1/models", headers=headers).status_code == 200
