"""Model server of the capability ``locsens``."""
