"""Crash matrix: the product is killed, frozen and lied to at every boundary; only the outside world's books judge.

```console
$ python -m pytest tests/reliability                        # each point once, a part of each drill: 4 minutes
$ python -m tests.reliability --full --seeds 3 [--json]     # everything, as a table; exit code 1 if a rule is broken
$ python -m tests.reliability --full --seed 7 --only "stop before carrier:post"
$ python -m tests.reliability --full --seeds 20 --only "zombies /"
$ python -m tests.reliability --full --only "forgotten /" --records 5000
```

| file | holds |
|---|---|
| `audit.py` | the auditor: rules over the simulators' books; knows nothing of the product |
| `cells.py` | the cells as data: order (story) × point × {kill -9, lost answer, SIGSTOP} × seed |
| `crashing_process.py` | the production worker or bridge with one fault put around its adapters |
| `running.py`, `lanes.py`, `world.py` | one cell from claim to audit; its processes; servers and simulators |
| `bridging.py` | the bridge between claim, start and commit on a real Kafka; the incident |
| `states.py` | where an order can stand when an operator's hand comes, and what must follow |
| `cancels.py` | a cancel in each state, by each of its ways |
| `hands.py` | runs terminated, deleted, failed, reset, started once more in each state; sweep and `reopen` |
| `forgetting.py` | records that come again once the histories are gone, through the bridge; conflicts |
| `zombies.py` | a worker frozen behind its last look at the clock, with a crowd of orders in its hands |
| `storm.py` | every part killed and frozen in one run under load |
| `trails.py`, `traces.py` | the audit trail against the books of the world; personal data in all that a run leaves |
| `commands.py` | `temporal …` and `topup …` as processes |
| `restoring.py` | the order book restored from a backup while orders stand everywhere (docs/restore.md) |
| `mutants.py`, `telltales.py`, `buggy.py` | wrong products that the matrix must catch; a version that ends runs |
| `matrix.py`, `__main__.py` | what is run; the command |

Real are Temporal, Kafka, PostgreSQL (SQLite for four orders of five), mosquitto and every process of the product; the
carrier, the providers and the cars are simulators on the wire. kill -9 does not test a lost fsync: that takes a loss of
power. Temporal gives a dead worker's task to another after 10 s, which no time scale shortens, so cells run side by
side. A seed draws what a story leaves open: scale, moment of the thaw, whether the other side acts before or after the
fault, database, pairs of kills.
"""
