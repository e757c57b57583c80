"""What a metric is, as the tables of metrics have it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Labels hold few distinct values and no personal data.

    `values` of its one label are exported as 0 from the start: Prometheus sees no increase in a series that begins
    with 1.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    values: tuple[str, ...] = ()
