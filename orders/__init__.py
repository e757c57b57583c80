"""The language of the product: paid orders, identities, lifecycle, outcomes. Imports nothing of ours, does no I/O."""
