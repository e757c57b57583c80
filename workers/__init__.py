"""The worker process: the composition root, where adapters, activities and workflows are put together."""
