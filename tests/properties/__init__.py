"""The product in motion: any plan of accidents, played against an independent model of the books.

```console
$ python -m pytest tests/properties                              # a part of it, always the same: under 100 s
$ python -m tests.properties --examples 100000 --seed 7 --jobs 3  # as long as you like; exit code 1 if a rule breaks
$ python -m tests.properties --mutants                            # examples until each wrong product is caught
$ python -m tests.properties --server --examples 500              # the same plans on the real Temporal server
```

| file | holds |
|---|---|
| `strategies.py` | what happens to one order, as data: answers, losses, faults, hands; the strategy that draws it |
| `counterparties.py` | carrier (on the wire), provider with its bank, car: honest state, done to as the plan says |
| `oracle.py` | the model of the books and its rules; it knows nothing of the product |
| `fast.py` | one plan in one process: real saga, activities, carrier adapter, order book on SQLite; virtual time |
| `fake_temporal/` | the Temporal of `fast.py`: the SDK's own workflow runtime, fed by a server of a few pages |
| `virtual_loop.py`, `sqlite_at_once.py` | what makes an example fast, and the same each time |
| `real.py` | one plan on the real Temporal server with time skipping, the order book on a file |
| `mutants/` | wrong products that must be caught |
| `search.py`, `__main__.py` | what is played; the command |

`tests/orders/exploration/` walks every state of the book's rules; here is what moves around them: the saga's order of
steps, attempts that die or thaw, histories that replay, answers that get lost.
"""
