"""Wrong rules, each of which the walks through every state (`tests/orders/exploration/`) must find.

| file | holds |
|---|---|
| `rules.py` | rules of the book that someone could have written; how one takes a rule's place |
| `decisions.py` | `next_step` itself, and the invariant that catches each |
| `at_most_once.py` | those that only a carrier that can't be asked shows |
| `restored.py` | what a restored book must not forget |
| `goodwill.py` | what is given back after a delivery, found by walks of its own (`tests/orders/goodwill_walk.py`) |
"""
