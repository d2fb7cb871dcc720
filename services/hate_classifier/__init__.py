"""The hate classifier server: ``python -m services.hate_classifier``."""
