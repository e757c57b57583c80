"""The saga of one paid order and what it asks of the world. Deterministic code only."""
