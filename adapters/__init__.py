"""The outside world, a package each: carriers, payment providers, MQTT, Kafka, the order book, pushes, traces."""
