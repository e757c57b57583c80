"""Crash matrix: the product is killed, frozen and lied to at every boundary; only the outside world's books judge."""
