"""Every promised metric exists, with its labels, under its name on the wire."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from interplay import __version__
from interplay.telemetry import metrics

# Name on the wire (counters and infos with their suffix), kind, labels.
PROMISED = {
    "interplay_http_requests_total": ("counter", {"route", "method", "code"}),
    "interplay_http_request_duration_seconds": ("histogram", {"route", "method"}),
    "interplay_http_inflight_requests": ("gauge", set()),
    "interplay_grpc_server_handled_total": ("counter", {"service", "method", "code"}),
    "interplay_grpc_server_handling_seconds": ("histogram", {"service", "method"}),
    "interplay_inference_requests_total": ("counter", {"model", "version", "outcome"}),
    "interplay_inference_stage_seconds": ("histogram", {"model", "stage"}),
    "interplay_inference_queue_depth": ("gauge", {"model"}),
    "interplay_inference_inflight": ("gauge", {"model"}),
    "interplay_inference_batch_size": ("histogram", {"model"}),
    "interplay_inference_batch_padding_ratio": ("histogram", {"model"}),
    "interplay_index_entries": ("gauge", {"index"}),
    "interplay_index_search_seconds": ("histogram", {"plan"}),
    "interplay_index_publish_seconds": ("histogram", set()),
    "interplay_model_info": ("gauge", {"model", "version", "digest", "device", "dtype"}),
    "interplay_model_load_seconds": ("gauge", {"model"}),
    "interplay_model_ready": ("gauge", {"model"}),
    "interplay_gpu_memory_allocated_bytes": ("gauge", {"device"}),
    "interplay_gpu_memory_reserved_bytes": ("gauge", {"device"}),
    "interplay_gpu_oom_total": ("counter", {"device"}),
    "interplay_jobs_total": ("counter", {"kind", "state"}),
    "interplay_jobs_backlog": ("gauge", {"kind"}),
    "interplay_job_oldest_queued_seconds": ("gauge", set()),
    "interplay_job_duration_seconds": ("histogram", {"kind"}),
    "interplay_job_attempts_total": ("counter", {"kind"}),
    "interplay_worker_heartbeat_age_seconds": ("gauge", set()),
    "interplay_fetch_total": ("counter", {"result"}),
    "interplay_fetch_bytes_total": ("counter", set()),
    "interplay_rate_limited_total": ("counter", {"reason"}),
    "interplay_auth_failures_total": ("counter", {"reason"}),
}


def registered() -> dict[str, tuple[str, set[str]]]:
    found = {}
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            for family in value.describe():
                name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
                found[name] = (family.type, set(value._labelnames))
    return found


def test_names_kinds_and_labels_are_the_promised_ones() -> None:
    assert registered() == {**PROMISED, "interplay_build_info": ("info", set())}


def test_durations_are_histograms_in_seconds() -> None:
    for name, (kind, _) in registered().items():
        assert kind != "summary"
        if "duration" in name or name.endswith(("handling_seconds", "stage_seconds")):
            assert kind == "histogram"
            assert name.endswith("_seconds")


@pytest.mark.parametrize("name", ["SECONDS_BUCKETS", "COUNT_BUCKETS", "RATIO_BUCKETS", "JOB_BUCKETS"])
def test_buckets_grow(name: str) -> None:
    buckets = getattr(metrics, name)
    assert list(buckets) == sorted(set(buckets))


def test_metrics_are_served_over_http() -> None:
    metrics.INFERENCE_STAGE.labels("test-model", "decode").observe(0.02)
    server, thread = metrics.serve_metrics("127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            text = response.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    stage = (("model", "test-model"), ("stage", "decode"))
    assert samples[("interplay_inference_stage_seconds_count", *stage)] == 1
    assert samples[("interplay_build_info", ("version", __version__))] == 1
    bucket = "interplay_inference_stage_seconds_bucket"
    assert REGISTRY.get_sample_value(bucket, {**dict(stage), "le": "0.025"}) == 1
    assert REGISTRY.get_sample_value(bucket, {**dict(stage), "le": "0.01"}) == 0
