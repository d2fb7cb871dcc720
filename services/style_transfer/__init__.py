"""The style transfer server: ``python -m services.style_transfer``."""
