"""The one limit of the tests: nothing depends on how fast the machine is, and what hangs ends all the same."""

WAIT_SECONDS = 240.0
"""What is not there within it would never come. Below pytest's own limit for a test, so that the sentence says what was
waited for."""
