"""Logs, metrics and traces, and the request id that joins them across HTTP, gRPC and Celery."""
