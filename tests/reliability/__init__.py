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
| `devkit/audit/` | the auditor: rules over the simulators' books; knows nothing of the product |
| `cases.py` | the cases as data: order (story) × point × {kill -9, lost answer, SIGSTOP} × seed |
| `crashing_process.py` | the production worker or bridge with one fault put around its adapters |
| `running.py` | one case from claim to audit |
| `deployments.py`, `environment.py` | the product's processes of a case; the servers and simulators of all |
| `bridging.py` | the bridge between claim, start and commit on a real Kafka; the incident |
| `states.py` | where an order can stand when an operator's hand comes, and what must follow |
| `cancels.py` | a cancel in each state, by each of its ways |
| `operator_faults.py` | runs terminated, deleted, failed, reset, started once more in each state; sweep and `reopen` |
| `random_operations.py` | all of these at random on many orders while workers die |
| `forgetting.py` | records that come again once the histories are gone, through the bridge; conflicts |
| `zombies.py` | a worker frozen behind its last look at the clock, with a crowd of orders in its hands |
| `chaos.py`, `flat_chaos.py` | every part killed and frozen under load; the same at a carrier that can't be asked |
| `audit_trail.py`, `personal_data_scan.py` | the trail against the books; personal data in what a run leaves |
| `commands.py` | `temporal …` and `topup …` as processes |
| `restoring.py` | the order book restored from a backup while orders stand everywhere (docs/restore.md) |
| `mutants/` | wrong products that must be caught |
| `matrix.py`, `__main__.py` | what is run; the command |

Real are Temporal, Kafka, PostgreSQL (SQLite for four orders of five), mosquitto and every process of the product; the
carrier, the providers and the cars are simulators on the wire. kill -9 does not test a lost fsync: that takes a loss of
power. Temporal gives a dead worker's task to another after 10 s, which no time scale shortens, so cases run side by
side. A seed draws what a story leaves open: scale, moment of the thaw, whether the other side acts before or after the
fault, database, pairs of kills.
"""
