"""Indexes of several capabilities beside one another: in one folder, on one Qdrant server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY
from qdrant_client import QdrantClient

from interplay.errors import Conflict, Unavailable
from interplay.index.cluster import ClusterCatalogue
from interplay.index.entries import Entry, Filter
from interplay.serving.indexes.indexes import Indexes, collection_prefix, open_indexes
from interplay.serving.indexes.model import IndexedImage
from interplay.serving.indexes.settings import IndexSettings
from interplay.serving.indexes.snapshots import open_snapshots


class Model:
    """An ``IndexedModel`` without a model."""

    dimension = 4
    space_name = "test model"

    def __init__(self, space: str = "sha256:" + "a" * 64) -> None:
        self.space = space

    async def of_image_patiently(self, *_: object) -> IndexedImage:
        return IndexedImage(np.ones(4, dtype=np.float32), 0, b"")


def settings(folder: Path) -> IndexSettings:
    return IndexSettings(port=0, metrics_port=0, state_dir=folder)


def names(indexes: Indexes) -> list[str]:
    return [info.spec.name for info in indexes.catalogue.all()]


async def test_parts_of_one_folder_are_apart(tmp_path: Path) -> None:
    whole, part = (open_indexes(settings(tmp_path), Model(), name) for name in ("", "locsens"))
    whole.create("photos")
    part.create("places")
    assert (names(whole), names(part)) == (["photos"], ["places"])
    assert (tmp_path / "indexes" / "photos").is_dir() and (tmp_path / "locsens/indexes/places").is_dir()
    with pytest.raises(Unavailable):
        open_indexes(settings(tmp_path), Model(), "locsens")
    for indexes, name, index, folder in (
        (whole, "", "photos", "snapshots"),
        (part, "locsens", "places", "locsens/snapshots"),
    ):
        snapshots = open_snapshots(settings(tmp_path), indexes, name)
        made = await snapshots.create(index)
        assert made.file == tmp_path / folder / index / made.id and made.file.is_file()
        snapshots.close()
        indexes.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
def test_parts_of_one_qdrant_server_are_apart() -> None:
    client = QdrantClient(":memory:")
    parts = ["", "locsens", "other"]
    catalogues = [ClusterCatalogue(client, collection_prefix(part)) for part in parts]
    for part, catalogue in zip(parts, catalogues, strict=True):
        indexes = Indexes(catalogue, Model())
        indexes.create("photos")
        indexes.begin("photos", "g2")
        indexes.write("photos", "g2", [Entry(f"in-{part}", np.ones(4, dtype=np.float32))])
    for part, catalogue in zip(parts, catalogues, strict=True):
        assert [info.spec.name for info in catalogue.all()] == ["photos"]
        assert [spec.generation for spec in catalogue.unfinished()] == ["g2"]
        assert catalogue.publish("photos", "g2").entries == 1
        with catalogue.reading("photos") as index:
            assert [entry.id for entry in index.scroll()] == [f"in-{part}"]
    catalogues[0].drop("photos")
    assert [len(catalogue.all()) for catalogue in catalogues] == [0, 1, 1]
    client.close()


def test_an_index_of_another_model_is_refused_by_its_name(tmp_path: Path) -> None:
    indexes = open_indexes(settings(tmp_path), Model())
    indexes.create("photos")
    indexes.model = Model("sha256:" + "b" * 64)
    with pytest.raises(Conflict, match=r"built with the test model sha256:a+, and this server has sha256:b"):
        indexes.check_target("photos", "")
    indexes.close()


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_metrics_follow_what_is_done_to_an_index(tmp_path: Path) -> None:
    indexes = open_indexes(settings(tmp_path), Model())
    published = metric("interplay_index_publish_seconds_count") or 0
    searched = metric("interplay_index_search_seconds_count", plan="exact") or 0
    indexes.create("watched")
    assert metric("interplay_index_entries", index="watched") == 0
    vectors = np.eye(4, dtype=np.float32)
    indexes.write("watched", "", [Entry(str(n), vector) for n, vector in enumerate(vectors)])
    assert metric("interplay_index_entries", index="watched") == 4
    indexes.delete("watched", ["0"])
    assert metric("interplay_index_entries", index="watched") == 3
    assert indexes.search("watched", vectors[1], 1, 0, Filter()).hits[0].entry.id == "1"
    assert metric("interplay_index_publish_seconds_count") == published + 1
    assert metric("interplay_index_search_seconds_count", plan="exact") == searched + 1
    indexes.close()
    again = open_indexes(settings(tmp_path), Model())
    again.close()  # waits for the first measuring
    assert metric("interplay_index_entries", index="watched") == 3
    again = open_indexes(settings(tmp_path), Model())
    again.drop("watched")
    assert metric("interplay_index_entries", index="watched") is None
    again.close()
