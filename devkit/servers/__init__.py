"""Real servers for tests: PostgreSQL, Apache Kafka, mosquitto, Temporal; without Docker, nothing installed."""
