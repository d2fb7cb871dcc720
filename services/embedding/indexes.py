"""Where the indexes are: in a folder of this process, or on a Qdrant server."""

from __future__ import annotations

from interplay.index.catalogue import Catalogue
from interplay.index.cluster import ClusterCatalogue
from interplay.index.embedded import EmbeddedCatalogue
from services.embedding.settings import EmbeddingSettings


def open_catalogue(settings: EmbeddingSettings) -> Catalogue:
    """Open the indexes that the settings name.

    Raises:
        Unavailable: Another process has the embedded ones open.
    """
    if settings.qdrant_url is None:
        return EmbeddedCatalogue(settings.state_dir / "indexes")
    from qdrant_client import QdrantClient

    return ClusterCatalogue(QdrantClient(url=settings.qdrant_url, api_key=settings.qdrant_api_key))
