"""Image, tag and place: tagging at a place and retrieval near one (thesis chapter 5)."""
