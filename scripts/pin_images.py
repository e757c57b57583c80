# ruff: noqa: INP001 - a script, no package
"""Write beside each image's tag the digest that it has now: `make pin-images`, on a machine with a container engine.

A tag can be moved, a digest can't: what was looked at is what runs. Run it again to take a tag's newer image.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
FILES: Final = ("docker-compose.temporal.yml", "Dockerfile")
_OURS: Final = "topup"
_IMAGE: Final = re.compile(
    r"^(?P<before>\s*image: |ARG PYTHON_IMAGE=)(?P<image>[a-z0-9./-]+:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)


def pinned(text: str, digest_of: Callable[[str], str]) -> str:
    """`text` with each image's digest, but those that are built here."""

    def pin(match: re.Match[str]) -> str:
        image = match["image"]
        if image.partition(":")[0].partition("-")[0] == _OURS:
            return match[0]
        return f"{match['before']}{image}@{digest_of(image)}"

    return _IMAGE.sub(pin, text)


def digest_now(image: str) -> str:
    """Of the image for all platforms, as the registry says it.

    Raises:
        ValueError: it says something else.
    """
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - the name stands in our own files
    if re.fullmatch(r"sha256:[0-9a-f]{64}", said) is None:
        raise ValueError(f"{image}: {said[:100]!r} is no digest")
    return said


def main() -> int:
    """Pin all; 1 where an image could not be looked up, and nothing was written."""
    try:
        texts = {name: pinned((ROOT / name).read_text(), digest_now) for name in FILES}
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        sys.stderr.write(f"no image was pinned: {said}\n")
        return 1
    for name, text in texts.items():
        (ROOT / name).write_text(text)
    sys.stdout.write(f"{' and '.join(FILES)} name each image by tag and digest\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
