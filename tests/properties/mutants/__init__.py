"""Wrong products: each is one mistake, made by patches, that the judge must find.

| file | holds |
|---|---|
| `mutant.py` | what one is, and how mistakes are made |
| `protocol.py` | those of the protocol's model (its table of mutants) that can be made in the product |
| `carrier.py`, `refund.py`, `runs.py` | mistakes that somebody might make in the steps around the rules |
"""

from tests.properties.mutants import carrier, protocol, refund, runs
from tests.properties.mutants.mutant import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "carrier", "protocol", "refund", "runs"]
