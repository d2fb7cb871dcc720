"""Training of the image-text embedding (thesis 4.3)."""
