"""Training of image search and tagging at a place (thesis 5)."""
