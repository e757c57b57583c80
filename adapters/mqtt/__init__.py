"""Notices over MQTT: one managed connection per broker."""
