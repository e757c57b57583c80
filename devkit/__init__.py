"""What is run and never deployed: the local stack, the demo, servers for tests."""
