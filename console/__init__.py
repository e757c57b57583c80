"""The `topup` command: run processes, operate orders and dead letters, the local stack, the demo."""
