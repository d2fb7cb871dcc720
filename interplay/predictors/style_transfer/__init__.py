"""Restyling of photos and of drawn words (thesis 3.2)."""
