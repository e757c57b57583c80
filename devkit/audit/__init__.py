"""The auditor over the outside world's books: whether each paid order came to exactly one end, and rightly so.

Used by the demonstration, the crash matrix and the benchmark. It imports nothing of the product and never looks into
its tables or Temporal, so it finds what the product hides from itself.
"""
