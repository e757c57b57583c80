# ruff: noqa: INP001 - a script, no package
"""Say what a lock file brings: a CycloneDX bill of materials on standard output, or with `--licences` a table.

`python scripts/sbom.py deploy/requirements-run.lock > sbom.cdx.json`. Names, versions, conditions and hashes come from
the lock; licences from the metadata of what is installed here, and are empty where a locked package isn't (another
platform's) or says none.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Final

_PINNED: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+))?")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(slots=True)
class Package:
    """One locked package."""

    name: str
    version: str
    condition: str
    hashes: list[str] = field(default_factory=list[str])

    @property
    def licence(self) -> str:
        """As its installed metadata says it; "" where it isn't installed in this version, or says none."""
        try:
            told = metadata(self.name)
        except PackageNotFoundError:
            return ""
        if told["Version"] != self.version:
            return ""
        words = told.get("License-Expression") or ""
        classified = [one.split(" :: ")[-1] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
        short = (told.get("License") or "").strip().partition("\n")[0][:80]
        return words or ", ".join(classified) or short

    def component(self) -> dict[str, Any]:
        """As CycloneDX has it."""
        purl = f"pkg:pypi/{self.name}@{self.version}"
        licence = self.licence
        return {
            "type": "library",
            "bom-ref": purl,
            "name": self.name,
            "version": self.version,
            "purl": purl,
            **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
            "properties": [
                *({"name": "topup:sha256", "value": one} for one in self.hashes),
                *([{"name": "topup:condition", "value": self.condition}] if self.condition else []),
            ],
        }


def packages(lock: str) -> Iterator[Package]:
    """What a lock file pins, in its order."""
    found: Package | None = None
    for line in lock.splitlines():
        if pinned := _PINNED.match(line):
            if found is not None:
                yield found
            name = re.sub(r"[-_.]+", "-", pinned[1]).lower()
            found = Package(name, pinned[2], (pinned[3] or "").strip())
        if found is not None:
            found.hashes += _HASH.findall(line)
    if found is not None:
        yield found


def main() -> int:
    """Print it; 0, or 1 where the lock pins nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--licences", action="store_true", help="a table of names, versions and licences instead")
    options = parser.parse_args()
    found = list(packages(options.lock.read_text()))
    if options.licences:
        for one in found:
            sys.stdout.write(f"{one.name:<32} {one.version:<16} {one.licence or 'not known here'}\n")
    else:
        bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
        sys.stdout.write(json.dumps(bom | {"components": [one.component() for one in found]}, indent=2) + "\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
