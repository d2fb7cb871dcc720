"""Images and words in one space (thesis 4.3)."""
