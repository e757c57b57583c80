"""Kafka → Temporal: reads paid orders, claims them in the order book, starts their runs, commits what is complete."""
