"""Figures of tags, on posts small enough to count by hand."""

import pytest

from training.locsens.profile import read_posts, tag_profile


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
