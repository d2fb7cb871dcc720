"""One router a concern; ``gateway.main`` includes them."""
