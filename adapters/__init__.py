"""The outside world, one file each: carrier, payment providers, MQTT, order book."""
