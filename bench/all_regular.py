"""`python -m bench.all_regular worker`: the product's worker, with the first step regular too.

`TOPUP_LOCAL_FIRST=false` reaches a run through its first step's result, which is therefore local. To compare with
one regular activity per step, all four, this worker starts each run with local first switched off. For the benchmark
alone: nothing of the product imports it.
"""

from workers.process import main
from workflows.durable import StepRunner

_usual_init = StepRunner.__init__


def _without_local_first(self: StepRunner, order_id: str, scale: float) -> None:
    _usual_init(self, order_id, scale)
    self.local_first = False


if __name__ == "__main__":
    StepRunner.__init__ = _without_local_first
    main()
