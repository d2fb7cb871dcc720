"""``/v2``: the Open Inference Protocol's REST form, with the real service behind it on a model server."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interplay import __version__
from interplay.api_keys import create_api_key
from interplay.errors import Overloaded
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter

MODEL = "/v2/models/textfcn-compact"  # the fake doubles `numbers` and says how long each of `words` is
LENGTH = "Inference-Header-Content-Length"
NUMBERS = {"name": "numbers", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4.5]]}
WORDS = {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["snow ☃", ""]}


def infer(gateway: RunningGateway, *inputs: dict[str, Any], path: str = MODEL, **fields: Any) -> Any:
    return gateway.client.post(f"{path}/infer", json={"inputs": inputs, **fields})


def test_tensors_as_json(gateway: RunningGateway) -> None:
    response = infer(gateway, NUMBERS, WORDS, id="42")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("textfcn-compact", "3", "42")
    assert body["outputs"] == [
        {"name": "doubled", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 9.0]},
        {"name": "lengths", "datatype": "INT64", "shape": [2], "data": [8, 0]},
        {"name": "words", "datatype": "BYTES", "shape": [2], "data": ["snow ☃", ""]},
    ]


def test_a_flat_list_and_chosen_outputs(gateway: RunningGateway) -> None:
    flat = NUMBERS | {"data": [1, 2, 3, 4.5]}
    body = infer(gateway, flat, WORDS, outputs=[{"name": "doubled"}]).json()
    assert [output["name"] for output in body["outputs"]] == ["doubled"]
    assert "id" not in body


def test_bytes_that_are_no_text_go_as_base64(gateway: RunningGateway) -> None:
    content = b"\xff\xd8\x00"
    words = WORDS | {
        "shape": [1],
        "data": [base64.b64encode(content).decode()],
        "parameters": {"content_type": "base64"},
    }
    output = infer(gateway, NUMBERS, words).json()["outputs"][2]
    assert output["parameters"] == {"content_type": "base64"}
    assert base64.b64decode(output["data"][0]) == content


def test_tensors_as_bytes_after_the_json(gateway: RunningGateway) -> None:
    numbers = np.array([[1, 2], [3, 4.5]], "<f4").tobytes()
    words = struct.pack("<I", 3) + b"abc" + struct.pack("<I", 0)
    head = json.dumps(
        {
            "inputs": [
                {k: v for k, v in tensor.items() if k != "data"}
                | {"parameters": {"binary_data_size": len(raw)}}
                for tensor, raw in ((NUMBERS, numbers), (WORDS, words))
            ],
            "outputs": [{"name": "doubled", "parameters": {"binary_data": True}}, {"name": "lengths"}],
        }
    ).encode()
    headers = {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    response = gateway.client.post(f"{MODEL}/infer", content=head + numbers + words, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers["inference-header-content-length"])
    doubled, lengths = json.loads(response.content[:length])["outputs"]
    assert doubled["parameters"] == {"binary_data_size": 16} and "data" not in doubled
    assert np.frombuffer(response.content[length:], "<f4").tolist() == [2, 4, 6, 9]
    assert lengths["data"] == [3, 0]


def test_what_there_is(gateway: RunningGateway) -> None:
    get = gateway.client.get
    assert get("/v2").json() == {
        "name": "interplay",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }
    assert get("/v2/health/live").json() == {"live": True}
    for path in (MODEL, f"{MODEL}/versions/3"):
        body = get(path).json()
        assert (body["name"], body["versions"]) == ("textfcn-compact", ["3"])
        assert body["inputs"][0] == {"name": "numbers", "datatype": "FP32", "shape": [-1, 2]}
        assert get(f"{path}/ready").json() == {"name": "textfcn-compact", "ready": True}
    assert infer(gateway, NUMBERS, WORDS, path=f"{MODEL}/versions/3").status_code == 200


def test_readiness_is_that_of_all_parts(
    gateway: RunningGateway, model_server: FakeTextServer, background: Any
) -> None:
    assert gateway.client.get("/v2/health/ready").json() == {"ready": True}
    background.run(model_server.set_serving(False))
    try:
        response = gateway.client.get("/v2/health/ready")
        assert (response.status_code, response.json()) == (503, {"ready": False})
    finally:
        background.run(model_server.set_serving(True))


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"data": [1, 2, 3]}, 422, "takes 16"),
        ({"data": [1, 2, 3, "four"]}, 422, "not FP32"),
        ({"data": None}, 422, "neither data"),
        ({"datatype": "FP8"}, 422, "no data type"),
        ({"datatype": "INT32", "data": [1, 2, 3, 4.5]}, 422, "not INT32"),
        ({"datatype": "INT8", "data": [1, 2, 3, 400]}, 422, "does not hold"),
        ({"datatype": "INT32", "data": [1, 2, 3, 4]}, 422, "must be FP32"),
        ({"shape": [4]}, 422, "it must be [-1, 2]"),
        ({"shape": [-2, -2]}, 422, "outside 0 to"),
        ({"name": "letters"}, 422, "there are: numbers, words"),
        ({"colour": 1}, 422, "unknown field"),
        ({"parameters": {"binary_data_size": 16}}, 422, "0 bytes are left"),
    ],
)
def test_wrong_tensors_are_refused(
    gateway: RunningGateway, change: dict[str, Any], status: int, message: str
) -> None:
    response = infer(gateway, NUMBERS | change, WORDS)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"] and message in body["error"], body


def test_other_faults_have_the_protocols_form(
    gateway: RunningGateway, start_gateway: Starter, model_server: FakeTextServer
) -> None:
    post = gateway.client.post
    cases: list[tuple[Any, int, str]] = [
        (post(f"{MODEL}/infer", content=b"{"), 400, "not valid JSON"),
        (
            post(f"{MODEL}/infer", content=b"{}x", headers={"Inference-Header-Content-Length": "2"}),
            422,
            "inputs",
        ),
        (
            post(f"{MODEL}/infer", content=b"{}", headers={"Inference-Header-Content-Length": "9"}),
            400,
            "2 bytes",
        ),
        (infer(gateway, NUMBERS), 422, "'words' is missing"),
        (infer(gateway, NUMBERS, WORDS, path="/v2/models/none"), 404, "no model 'none'"),
        (infer(gateway, NUMBERS, WORDS, path=f"{MODEL}/versions/9"), 404, "version 9"),
        (gateway.client.get("/v2/models/none/ready"), 404, "no model 'none'"),
        (gateway.client.get("/v2/nothing"), 404, "/openapi.json"),
        (gateway.client.get(f"{MODEL}/infer"), 405, "takes POST"),
        (infer(gateway, NUMBERS, WORDS, outputs=[{"name": "depth"}]), 422, "'depth' is not an output"),
    ]
    model_server.error = Overloaded("full", retry_after_s=3)
    cases.append((infer(gateway, NUMBERS, WORDS), 429, "full"))
    assert cases[-1][0].headers["retry-after"] == "3"
    for response, status, message in cases:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        assert list(response.json()) == ["error"] and message in response.json()["error"], response.text
    # A problem stays one elsewhere.
    assert gateway.client.get("/v1/nothing").headers["content-type"] == "application/problem+json"


def test_probes_need_no_key_and_models_do(start_gateway: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_api_key(path, "ops", ["infer"])
    running = start_gateway(api_keys_file=path)
    assert running.client.get("/v2/health/live").status_code == 200
    response = running.client.get(MODEL)
    assert response.status_code == 401 and list(response.json()) == ["error"]


def test_images_may_be_large_and_no_larger(start_gateway: Starter) -> None:
    running = start_gateway(max_image_bytes=100_000)
    words = WORDS | {"shape": [1], "data": ["x" * 100_000]}
    assert infer(running, NUMBERS, words).status_code == 200
    response = infer(running, NUMBERS, words | {"data": ["x" * 500_000]})
    assert response.status_code == 413 and "the limit is" in response.json()["error"]
