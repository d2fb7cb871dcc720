"""Figures of tags and upper bounds, on posts small enough to count by hand."""

import numpy as np
import pytest

from training.datasets.yfcc import GeotaggedPhoto
from training.locsens.profile import read_posts, tag_profile, upper_bounds


def photos_at(places: list[tuple[float, float]], tag: str) -> list[GeotaggedPhoto]:
    return [GeotaggedPhoto(f"{tag}{row}", (tag,), "", "", *place, "u") for row, place in enumerate(places)]


def test_upper_bounds_count_photos_in_reach() -> None:
    # Five photos in one street, five more 100 km away; across the date line, so no seam may part them.
    here = [(0.0, 179.999), (0.0, -179.999), (0.001, 180.0), (-0.001, -180.0), (0.0, 180.0)]
    there = [(0.9, 180.0)] * 5
    bounds = upper_bounds(photos_at(here + there, "snow") + photos_at(here, "rare"), np.random.default_rng(0))
    assert bounds["queries"] == 10  # "rare" is on five photos only
    assert bounds["with_own"] == {"inf": 1.0, "2500": 1.0, "750": 1.0, "200": 1.0, "25": 0.5, "1": 0.5}
    assert bounds["without_own"] == {"inf": 0.9, "2500": 0.9, "750": 0.9, "200": 0.9, "25": 0.4, "1": 0.4}


def test_profile() -> None:
    posts = [("dresden", "snow"), ("dresden",), ("snow", "sea", "fog")]
    figures = tag_profile(posts, [{"dresden"}, {"dresden"}, {"berlin"}])
    assert figures["mean_tags"] == 2.0
    assert figures["length_shares"][:4] == [0.3333, 0.3333, 0.3333, 0.0]
    assert figures["place_share"] == round(2 / 6, 4) and figures["posts_with_place"] == round(2 / 3, 4)
    assert figures["distinct_tags"] == 4 and figures["once_share"] == 0.5


def test_slope_of_zipfs_law() -> None:
    posts = [(f"tag{rank}",) for rank in range(1, 400) for _ in range(round(40_000 / rank))]
    assert tag_profile(posts, [()] * len(posts))["slope"] == pytest.approx(-1, abs=0.01)


def test_real_posts(shared_data) -> None:
    posts = read_posts(shared_data / "geo" / "flickr_dresden_posts.csv")
    assert len(posts) > 10_000 and all(1 <= len(tags) <= 15 for tags in posts)
    assert not any(letter.isdigit() or letter.isupper() for tags in posts for tag in tags for letter in tag)
