"""Training of LocSens: location-sensitive tagging and retrieval (thesis chapter 5)."""
