"""`python -m bench.all_regular worker`: the product's worker, with the first step regular too.

`TOPUP_LOCAL_FIRST=false` reaches a run through its first step, `read_order`, which is therefore local. To compare with
one regular activity per step, all four, this worker starts each run with local first switched off. For the benchmark
alone: nothing of the product imports it.
"""

from workers.process import main
from workflows.durable import Steps

_usual_init = Steps.__init__


def _without_local_first(self: Steps) -> None:
    _usual_init(self)
    self.local_first = False


if __name__ == "__main__":
    Steps.__init__ = _without_local_first
    main()
