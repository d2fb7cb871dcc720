"""The mode fast: its two rounds of candidates, against all images scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.locsens_ways import Server
from benchmarks.locsens_world import Models, Photos, draw_vectors, queries, random_photos, untrained_models
from services.locsens import retrieval
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


def test_the_second_round_finds_what_the_first_missed(
    server: Server, asked: list[Query], models: Models, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", 100)
    monkeypatch.setattr(retrieval, "PREFERRED", 1)
    once = found(server, asked, models, photos)
    monkeypatch.setattr(retrieval, "PREFERRED", 200)
    assert found(server, asked, models, photos) > once + 0.1


def test_the_second_round_scores_nothing_twice(
    server: Server, asked: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", IMAGES)
    assert all(server.fast(query, TOP).scored == IMAGES for query in asked[:3])


def test_as_many_as_are_asked_for(server: Server, asked: list[Query]) -> None:
    assert len(server.fast(asked[0], 600).hits) == 600


def test_no_second_round_where_all_were_scored(
    server: Server, asked: list[Query], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "ANYWHERE", IMAGES + 1)
    monkeypatch.setattr(retrieval, "PREFERRED", -1)  # the index would refuse
    assert server.fast(asked[0], TOP).scored == IMAGES
