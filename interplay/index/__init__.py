"""Vector indexes on Qdrant: embedded shards (Qdrant Edge) or a Qdrant server, one filter language."""
