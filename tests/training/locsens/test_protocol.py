"""The protocol on sets small enough to count by hand."""

import numpy as np
import pytest

from training.locsens.protocol import (
    TOP,
    Query,
    TaggedPlaces,
    distance_km,
    make_queries,
    retrieval_precision,
    tag_precision,
    tagging_scores,
    upper_bound,
)

BARCELONA, PARIS, SYDNEY = (41.38, 2.17), (48.86, 2.35), (-33.87, 151.21)


def photos() -> TaggedPlaces:
    """Tag 0: 12 images in Barcelona and 4 in Paris; tag 1: the Paris ones and 8 in Sydney."""
    places = [BARCELONA] * 12 + [PARIS] * 4 + [SYDNEY] * 8
    tags = [[0]] * 12 + [[0, 1]] * 4 + [[1]] * 8
    return TaggedPlaces([np.array(tag) for tag in tags], np.array(places), 3)


def test_distances_are_geodesic() -> None:
    """Paris to Barcelona, and across the date line (Vincenty on WGS84)."""
    there = np.array([BARCELONA, (48.86, 2.35)])
    assert distance_km(np.array(PARIS), there) == pytest.approx([831.2, 0], abs=0.5)
    assert distance_km(np.array([0, 179.9]), np.array([[0, -179.9]])) == pytest.approx([22.26], abs=0.01)
    assert distance_km(np.array([90.0, 0]), np.array([[90.0, 120]])) == pytest.approx([0], abs=1e-6)


def test_queries_are_one_tag_of_each_image_and_equal_ones_once() -> None:
    made = make_queries(photos(), seed=0)
    assert all(query.tag in (0, 1) for query in made)
    assert sorted(image for query in made for image in query.images) == list(range(24))
    assert len(made) <= 4 and made == sorted(made, key=lambda query: query.images)
    few = TaggedPlaces(photos().tags[:9], photos().places[:9], 3)
    assert make_queries(few) == []


def test_precision_by_hand() -> None:
    """Barcelona's tag 0, ranked by number: without its own image 11 in Barcelona come first."""
    query = Query(0, np.array(BARCELONA), (0,))

    def by_number(queries: list[Query]) -> np.ndarray:
        return np.tile(-np.arange(24.0), (len(queries), 1))

    def backwards(queries: list[Query]) -> np.ndarray:
        return np.tile(np.arange(24.0), (len(queries), 1))

    assert retrieval_precision(photos(), [query], by_number).tolist() == [[1] * 6]
    # 8 of Sydney have another tag; of the two best after them one has tag 0, in Paris, 831 km away.
    assert retrieval_precision(photos(), [query], backwards)[0] == pytest.approx([0.2, 0.2, 0, 0, 0, 0])


def test_the_own_image_is_a_switch() -> None:
    alone = TaggedPlaces([np.array([0])] * 11, np.array([BARCELONA] + [SYDNEY] * 10), 1)
    query = Query(0, np.array(BARCELONA), (0,))

    def even(queries: list[Query]) -> np.ndarray:
        return np.zeros((len(queries), 11))

    assert retrieval_precision(alone, [query], even, own=True)[0].tolist() == [1, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert retrieval_precision(alone, [query], even)[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert upper_bound(alone, [query], own=True)[0, 1] == 0.1 and upper_bound(alone, [query])[0, 1] == 0


def test_the_upper_bound_counts_images_in_reach() -> None:
    """Five in one street, five 100 km away; across the date line, so no seam may part them."""
    here = [(0.0, 179.999), (0.0, -179.999), (0.001, 180.0), (-0.001, -180.0), (0.0, 179.9995)]
    ten = TaggedPlaces([np.array([0])] * 10, np.array(here + [(0.9, 180.0)] * 5), 1)
    queries = [Query(0, np.array(place), (row,)) for row, place in enumerate(here)]
    assert upper_bound(ten, queries, own=True).mean(0) == pytest.approx([1, 1, 1, 1, 0.5, 0.5])
    assert upper_bound(ten, queries).mean(0) == pytest.approx([0.9, 0.9, 0.9, 0.9, 0.4, 0.4])


def test_nothing_beats_the_upper_bound() -> None:
    rng = np.random.default_rng(3)
    many = TaggedPlaces(
        [rng.choice(5, 2, replace=False) for _ in range(200)],
        np.stack([rng.uniform(-90, 90, 200), rng.uniform(-180, 180, 200)], 1), 5,
    )  # fmt: skip
    queries = make_queries(many)
    bound = upper_bound(many, queries)
    assert (np.diff(bound, axis=1) <= 0).all() and (bound[:, 0] == 1).all()

    def random(asked: list[Query]) -> np.ndarray:
        return rng.random((len(asked), 200))

    found = retrieval_precision(many, queries, random)
    assert (found <= bound + 1e-9).all() and found[:, 0].mean() == pytest.approx(0.4, abs=0.06)


def test_plain_retrieval() -> None:
    images = np.repeat(np.eye(3), [12, 4, 8], axis=0)
    tags = np.array([[1, 0.1, 0], [0, 0.1, 1.0], [0, 1, 0]])
    assert tag_precision(photos(), images, tags) == pytest.approx([1, 1])
    # Tag 1 points to Barcelona, where no image has it.
    assert tag_precision(photos(), images, tags[[0, 0, 2]]) == pytest.approx([1, 0])


def test_tagging_by_hand() -> None:
    two = TaggedPlaces([np.array([3]), np.array([5, 7]), np.array([], int)], np.zeros((3, 2)), 40)
    best = np.stack([np.arange(3, 13), np.arange(20, 30), np.arange(10)])
    scores = tagging_scores(two, best)
    assert scores.at_1.tolist() == [True, False] and scores.at_10.tolist() == [True, False]
    assert scores.predicted == pytest.approx(1.0) and scores.rightly == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="not"):
        tagging_scores(two, best[:, : TOP - 1])
