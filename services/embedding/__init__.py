"""Model server of the capability ``embedding``."""
