"""Histories of the saga, one per way to an end, that every later version of it must be able to replay."""

from pathlib import Path

FOLDER = Path(__file__).parent
FORGOTTEN = {"identity": "recorded", "stackTrace": ""}
"""What a recording says instead of the names of its machine."""
