"""Hate in posts: their text as tokens and features, and the models that score it (thesis 6)."""
