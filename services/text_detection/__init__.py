"""The text detection server: ``python -m services.text_detection``."""
