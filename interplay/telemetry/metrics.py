"""Every Prometheus metric of the system, in one place, in base units, with bounded labels.

Histograms only, never summaries: quantiles must add up across replicas. One process has one
registry and serves it on its own metrics port.
"""

from __future__ import annotations

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import Counter, Gauge, Histogram, Info, start_http_server

from interplay import __version__

# OpenTelemetry's buckets for HTTP and RPC durations, continued for long model calls.
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120)
COUNT_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
RATIO_BUCKETS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
JOB_BUCKETS = (1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)

HTTP_REQUESTS = Counter("interplay_http_requests_total", "HTTP requests", ["route", "method", "code"])
HTTP_DURATION = Histogram(
    "interplay_http_request_duration_seconds",
    "HTTP request duration",
    ["route", "method"],
    buckets=SECONDS_BUCKETS,
)
HTTP_INFLIGHT = Gauge("interplay_http_inflight_requests", "HTTP requests in progress")

GRPC_HANDLED = Counter(
    "interplay_grpc_server_handled_total", "gRPC calls finished", ["service", "method", "code"]
)
GRPC_HANDLING = Histogram(
    "interplay_grpc_server_handling_seconds",
    "gRPC call duration",
    ["service", "method"],
    buckets=SECONDS_BUCKETS,
)

INFERENCE_REQUESTS = Counter(
    "interplay_inference_requests_total",
    "Items by outcome: ok, invalid, rejected, cancelled, deadline, error",
    ["model", "version", "outcome"],
)
INFERENCE_STAGE = Histogram(
    "interplay_inference_stage_seconds",
    "Time in a stage: queue, decode, preprocess, infer, postprocess",
    ["model", "stage"],
    buckets=SECONDS_BUCKETS,
)
INFERENCE_QUEUE_DEPTH = Gauge("interplay_inference_queue_depth", "Items waiting for a batch", ["model"])
INFERENCE_INFLIGHT = Gauge("interplay_inference_inflight", "Admitted requests, waiting or running", ["model"])
INFERENCE_BATCH_SIZE = Histogram(
    "interplay_inference_batch_size", "Items in a batch", ["model"], buckets=COUNT_BUCKETS
)
INFERENCE_PADDING = Histogram(
    "interplay_inference_batch_padding_ratio",
    "Part of a batch that is padding",
    ["model"],
    buckets=RATIO_BUCKETS,
)
MODEL_INFO = Gauge(
    "interplay_model_info", "1 for each loaded model", ["model", "version", "digest", "device", "dtype"]
)
MODEL_LOAD = Gauge("interplay_model_load_seconds", "Time to load and warm up", ["model"])
MODEL_READY = Gauge("interplay_model_ready", "1 when warmed up and serving", ["model"])
GPU_ALLOCATED = Gauge("interplay_gpu_memory_allocated_bytes", "Memory held by tensors", ["device"])
GPU_RESERVED = Gauge("interplay_gpu_memory_reserved_bytes", "Memory held by the allocator", ["device"])
GPU_OOM = Counter("interplay_gpu_oom_total", "Out-of-memory errors", ["device"])

JOBS = Counter("interplay_jobs_total", "Jobs that reached a state", ["kind", "state"])
JOBS_BACKLOG = Gauge("interplay_jobs_backlog", "Jobs queued or running", ["kind"])
JOB_OLDEST_QUEUED = Gauge("interplay_job_oldest_queued_seconds", "Age of the oldest queued job")
JOB_DURATION = Histogram(
    "interplay_job_duration_seconds", "Start to end of a job", ["kind"], buckets=JOB_BUCKETS
)
JOB_ATTEMPTS = Counter("interplay_job_attempts_total", "Times a job was started", ["kind"])
WORKER_HEARTBEAT_AGE = Gauge(
    "interplay_worker_heartbeat_age_seconds", "Age of the oldest running job's heartbeat"
)

INDEX_ENTRIES = Gauge("interplay_index_entries", "Entries of the generation that answers", ["index"])
INDEX_SEARCH = Histogram(
    "interplay_index_search_seconds",
    "Search in an index, without what asks the model; plan: exact (all that pass compared) or graph",
    ["plan"],
    buckets=SECONDS_BUCKETS,
)
INDEX_PUBLISH = Histogram(
    "interplay_index_publish_seconds", "Optimising a generation and letting it answer", buckets=JOB_BUCKETS
)

FETCHES = Counter("interplay_fetch_total", "Image URL fetches", ["result"])
FETCHED_BYTES = Counter("interplay_fetch_bytes_total", "Bytes fetched from image URLs")
RATE_LIMITED = Counter("interplay_rate_limited_total", "Requests refused by the rate limit", ["reason"])
AUTH_FAILURES = Counter("interplay_auth_failures_total", "Requests refused by authentication", ["reason"])

BUILD_INFO = Info("interplay_build", "Version of the code")
BUILD_INFO.info({"version": __version__})


def serve_metrics(host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve the process's registry over HTTP in a daemon thread; port 0 picks a free one."""
    return start_http_server(port, addr=host)
