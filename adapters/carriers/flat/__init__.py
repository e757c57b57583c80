"""A flat, old dialect that can't be asked what became of an order."""
