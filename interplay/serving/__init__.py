"""Serving core: runtimes, batcher, gRPC server, health, errors. Generic over capabilities."""
