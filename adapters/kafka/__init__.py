"""Kafka, hardened: what exists only because of the faults of kafka-python 3 and of brokers that go away.

`consumer_loop` reads a topic as a member of a group and commits what is complete; `producer` writes and knows what was
acknowledged; `broker_watch` asks whether Kafka answers; `topics` makes topics; `dead_letters` is the format of dead
letters, reading and redriving them. `clients` alone constructs kafka-python's classes; `limits` holds every number.
"""
