"""Pushes to a chat or a webhook: what needs a person, for teams without Prometheus. Best effort, beside every order."""
