"""What is run and never deployed: local stack, demo, servers for tests, the auditor of the outside world's books."""
