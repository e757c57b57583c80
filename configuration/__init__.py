"""What each process of the product reads from its environment: one model per process, put together from groups."""
