"""Crash matrix: the product is killed, frozen and lied to at every boundary; only the outside world's books judge.

```console
$ python -m pytest tests/reliability                        # each point once, some of the rest: under 4 minutes
$ python -m tests.reliability --full --seeds 3 [--json]     # everything, as a table; exit code 1 if a rule is broken
$ python -m tests.reliability --full --seed 7 --only "stop before carrier:post"
$ python -m tests.reliability --full --seeds 50 --only "burnt under a zombie"
```

| file | holds |
|---|---|
| `audit.py` | the auditor: rules over the simulators' books; knows nothing of the product |
| `cells.py` | the cells as data: order (story) × point × {kill -9, lost answer, SIGSTOP} × seed |
| `crashing_process.py` | the production worker or bridge with one fault put around its adapters |
| `running.py`, `lanes.py`, `world.py` | one cell from claim to audit; its processes; servers and simulators |
| `bridging.py` | the bridge between claim, start and commit on a real Kafka; the incident |
| `hands.py` | runs terminated and deleted in each state, histories gone: the sweep, second records |
| `mutants.py` | wrong products that the matrix must catch |
| `matrix.py`, `__main__.py` | what is run; the command |

Real are Temporal, Kafka, PostgreSQL (SQLite for four orders of five), mosquitto and every process of the product; the
carrier, the providers and the cars are simulators on the wire. kill -9 does not test a lost fsync: that takes a loss of
power. Temporal gives a dead worker's task to another after 10 s, which no time scale shortens, so cells run side by
side. A seed draws what a story leaves open: scale, moment of the thaw, whether the other side acts before or after the
fault, database, pairs of kills.
"""
