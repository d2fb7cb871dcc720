"""``/v1/models``."""

from __future__ import annotations

from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter


def test_models_come_with_limits_and_defaults(gateway: RunningGateway) -> None:
    body = gateway.client.get("/v1/models").json()
    capability, *others = body["capabilities"]
    assert [c["name"] for c in others] == ["style_transfer", "embedding", "locsens", "hate_classifier"]
    assert all(c["available"] for c in others)
    assert (capability["name"], capability["available"]) == ("text_detection", True)
    (model,) = capability["models"]
    assert (model["name"], model["version"], model["dtype"]) == ("fake", "3", "float32")
    assert (model["limits"]["max_image_bytes"], model["limits"]["max_inflight"]) == (1000, 7)
    assert (model["thresholds"], model["labels"]) == ({"pixel": 0.5}, ["text"])
    assert body["limits"]["max_image_bytes"] == gateway.state.settings.max_image_bytes
    assert body["limits"]["image_media_types"] == ["image/jpeg", "image/png", "image/webp"]
    assert body["limits"]["rate_limit_per_s"] == 0
    assert body["limits"]["image_urls"] is False


def test_a_capability_that_is_down_is_listed_as_such(start_gateway: Starter, free_port: int) -> None:
    running = start_gateway(capability_addresses={"text_detection": f"127.0.0.1:{free_port}"})
    response = running.client.get("/v1/models")
    assert response.status_code == 200
    capability, *_ = response.json()["capabilities"]
    assert capability["available"] is False
    assert "cannot be reached" in capability["detail"]
    assert capability["models"] == []


def test_gateway_limits_follow_the_settings(start_gateway: Starter, model_server: FakeTextServer) -> None:
    running = start_gateway(max_image_bytes=4096, rate_limit=500, url_allowlist=("img.example.com",))
    limits = running.client.get("/v1/models").json()["limits"]
    assert (limits["max_image_bytes"], limits["rate_limit_per_s"], limits["image_urls"]) == (4096, 500, True)
