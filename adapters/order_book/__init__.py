"""The order book on SQLite or PostgreSQL: what the product remembers for ever.

`book` is what the rest of the product sees of it. Behind it:

| for | look into |
|---|---|
| one order's life | `claims` (insert or compare), `decisions` (rules on locked rows), `reads`, `queries`, `erasure` |
| its audit trail | `audit_trail` (the chain of hashes), `decisions` (who writes it) |
| goodwill refunds | `goodwill`; `worked_on` finds an order or a goodwill refund by its name |
| what became no order | `kept` (how it comes in), `unmatched`, `letters` |
| money's days | `taking_in` (bills, statements), `evidence` (what is known of each), `known_payments`, `reconciling` |
| what waits for a person | `waiting` (counts), `pushes` (who was told), `duties` (which worker looks) |
| calls to the outside world | `holds`, `call_slots` |
| keys | `field_cipher`, `key_rotation` |
| the database itself | `tables`, `rows`, `migrations`, `engine`, `transactions`, `together` (batches), `process_role` |
"""
