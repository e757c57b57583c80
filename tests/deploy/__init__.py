"""Tests of what a team deploys from: the Compose file, the image, the broker's configuration, the secrets."""
