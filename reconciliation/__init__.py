"""Reconciliation: bills × order book × carrier's statement (contracts §10): its rules, pure, and its run."""
