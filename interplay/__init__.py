"""Interplay: reads scenes in which images, text and places meet."""

__version__ = "0.1.0"
