"""The durable steps of the saga, thin; `ports` says what they need of the world."""
