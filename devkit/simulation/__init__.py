"""The simulated outside world of a stack, a test or a benchmark: its processes, its control API, its books."""
