"""From the payment provider's callback to Kafka (contracts §7)."""
