"""OpenTelemetry traces, on only when an OTLP endpoint is configured.

Context crosses processes as W3C ``traceparent``: HTTP header, gRPC metadata, Celery header.
Exporters and instrumentation are imported only when tracing is on, so a process without it pays
nothing but the no-op API.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from interplay import __version__

tracer = trace.get_tracer("interplay", __version__)


def configure_tracing(service: str, endpoint: str | None, *, exporter: SpanExporter | None = None) -> bool:
    """Install the tracer provider of this process.

    Args:
        service: ``service.name`` of the resource.
        endpoint: OTLP gRPC endpoint such as ``http://otel-collector:4317``; None turns tracing off.
        exporter: Replaces the OTLP exporter (tests use an in-memory one).

    Returns:
        Whether tracing is on.
    """
    if exporter is None:
        if not endpoint:
            return False
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"interplay-{service}", "service.version": __version__})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return True
