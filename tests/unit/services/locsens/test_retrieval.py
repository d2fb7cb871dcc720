"""The mode fast: its rounds of candidates, against all images scored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.locsens_ways import NAME, Server
from benchmarks.locsens_world import Models, Photos, draw_vectors, queries, random_photos, untrained_models
from interplay.index.edge import EdgeIndex
from interplay.index.entries import Entry
from services.locsens import retrieval, tables
from training.locsens.protocol import TOP, Query

IMAGES = 3000


@pytest.fixture(scope="module")
def models() -> Models:
    return untrained_models(0)


@pytest.fixture(scope="module")
def photos(models: Models) -> Photos:
    """Images that look like one of a few others: what is alike has scores alike."""
    few = random_photos(30, models.tags.shape[1], 1)
    vectors = draw_vectors(few.vectors, IMAGES, np.random.default_rng(2))
    return Photos(vectors, random_photos(IMAGES, 2, 3).places)


@pytest.fixture(scope="module")
def server(models: Models, photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    opened = Server(tmp_path_factory.mktemp("indexes"), models)
    opened.build(photos, lambda _: None)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asked(models: Models, photos: Photos) -> list[Query]:
    return queries(photos, len(models.tags), 12, 4)


def found(server: Server, asked: list[Query], models: Models, photos: Photos) -> float:
    """Part of the best ten of all that the mode fast finds."""
    scorer = models.ranker.scorer
    parts, shares = scorer.image_parts(photos.vectors), []
    for query in asked:
        exact = scorer.score_images(parts, (query.tag,), query.place)
        ranked = server.fast(query, TOP)
        rows = [int(hit.entry.id) for hit in ranked.hits]
        assert len(set(rows)) == TOP and not ranked.exact
        np.testing.assert_allclose([hit.score for hit in ranked.hits], exact[rows], atol=1e-5)
        assert [hit.score for hit in ranked.hits] == sorted((h.score for h in ranked.hits), reverse=True)
        shares.append(np.isin(np.argsort(-exact)[:TOP], rows).mean())
    return float(np.mean(shares))


def test_further_rounds_find_what_the_first_missed(
    server: Server, asked: list[Query], models: Models, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", 100)
    monkeypatch.setattr(retrieval, "PREFERRED", (1, 1))
    once = found(server, asked, models, photos)
    monkeypatch.setattr(retrieval, "PREFERRED", (100, 100))
    assert found(server, asked, models, photos) > once + 0.1


def test_further_rounds_score_nothing_twice(
    server: Server, asked: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", IMAGES)
    assert all(server.fast(query, TOP).scored == IMAGES for query in asked[:3])


def test_as_many_as_are_asked_for(server: Server, asked: list[Query]) -> None:
    assert len(server.fast(asked[0], 600).hits) == 600


def test_no_further_round_where_all_were_scored(
    server: Server, asked: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", IMAGES + 1)
    monkeypatch.setattr(retrieval, "PREFERRED", (-1,))  # the index would refuse
    assert server.fast(asked[0], TOP).scored == IMAGES


def test_in_memory_it_finds_what_it_finds_on_disk(
    server: Server, asked: list[Query], models: Models, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", 100)
    monkeypatch.setattr(tables, "_REST_S", 0.0)
    monkeypatch.setattr(retrieval, "FEW", IMAGES - 1)
    on_disk = [server.fast(query, TOP) for query in asked]
    server.keep()
    monkeypatch.setattr(EdgeIndex, "candidates", None)  # would fail
    for query, before in zip(asked, on_disk, strict=True):
        after = server.fast(query, TOP)
        assert [hit.entry.id for hit in after.hits] == [hit.entry.id for hit in before.hits]
        np.testing.assert_allclose(
            [hit.score for hit in after.hits], [hit.score for hit in before.hits], atol=1e-6
        )
        assert after.scored == before.scored


def test_what_has_changed_is_read_from_the_index(
    models: Models, photos: Photos, asked: list[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_REST_S", 0.0)
    server = Server(tmp_path, models)
    try:
        few = Photos(photos.vectors[:300], photos.places[:300])
        server.build(few, lambda _: None)
        server.keep()
        best = server.fast(asked[0], 1).hits[0]
        server.indexes.delete(NAME, [best.entry.id])
        second = server.fast(asked[0], 1).hits[0]
        assert second.entry.id != best.entry.id and second.score < best.score
        new = Entry("new", photos.vectors[int(best.entry.id)], place=best.entry.place)
        server.indexes.write(NAME, "", [new])
        assert server.fast(asked[0], 1).hits[0].entry.id == "new"
        server.keep()
        assert server.fast(asked[0], 1).hits[0].entry.id == "new"
    finally:
        server.close()


def test_an_index_is_kept_in_the_background_once_it_was_asked(
    models: Models, photos: Photos, asked: list[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_REST_S", 0.01)
    server = Server(tmp_path, models)
    try:
        server.build(Photos(photos.vectors[:300], photos.places[:300]), lambda _: None)
        assert server.kept() == 0
        ends = time.monotonic() + 30
        while not server.kept() and time.monotonic() < ends:
            server.fast(asked[0], TOP)
        assert server.kept() == 300
    finally:
        server.close()


def test_a_large_index_stays_on_disk(
    models: Models, photos: Photos, asked: list[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_REST_S", 0.0)
    server = Server(tmp_path, models, most=299)
    try:
        server.build(Photos(photos.vectors[:300], photos.places[:300]), lambda _: None)
        for _ in range(5):
            assert len(server.fast(asked[0], TOP).hits) == TOP
        assert server.kept() == 0
    finally:
        server.close()


def test_a_small_index_in_memory_is_scored_whole(
    models: Models, photos: Photos, asked: list[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_REST_S", 0.0)
    server = Server(tmp_path, models)
    try:
        server.build(Photos(photos.vectors[:600], photos.places[:600]), lambda _: None)
        server.keep()
        exact = models.ranker.scorer.score_images(
            models.ranker.scorer.image_parts(photos.vectors[:600]), (asked[0].tag,), asked[0].place
        )
        answer = server.fast(asked[0], TOP)
        assert answer.exact and answer.scored == 600
        assert [int(hit.entry.id) for hit in answer.hits] == np.argsort(-exact, kind="stable")[:TOP].tolist()
        monkeypatch.setattr(retrieval, "FEW", 599)
        assert not server.fast(asked[0], TOP).exact
    finally:
        server.close()
