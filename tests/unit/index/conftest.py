"""Both kinds of indexes: an embedded shard, and Qdrant's client in its in-memory mode."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from interplay.index.catalogue import Catalogue
from interplay.index.cluster import ClusterCatalogue
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry, Place

DIMENSION = 32


@pytest.fixture(params=["embedded", "server"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    made: Catalogue
    if request.param == "embedded":
        made = EmbeddedCatalogue(tmp_path / "indexes")
    else:
        made = ClusterCatalogue(QdrantClient(":memory:"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect in the local Qdrant")
        warnings.filterwarnings("ignore", "Local mode performs exact")
        yield made
    made.close()


@pytest.fixture(scope="session")
def entries() -> list[Entry]:
    """500 entries around the world, with everything an entry may have."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Entry(
            id=f"photo {number}.jpg",
            vector=vector,
            uri=f"file:///photos/{number}.jpg",
            caption="A red café by the sea" if number % 2 else "Dogs on two boats",
            tags=("beach", "sun") if number % 3 else ("city",),
            place=Place(float(rng.uniform(-90, 90)), float(rng.uniform(-180, 180))) if number % 5 else None,
            time=datetime(2020, 1, 1 + number % 28, 12, tzinfo=UTC) if number % 7 else None,
            extra={
                "stars": number % 6,
                "owner": "a b",
                "open": number % 2 == 0,
                'odd "name"': 1,
                "nested": {"x": [1]},
            },
            fingerprint=number * 2**50,
        )
        for number, vector in enumerate(vectors)
    ]
