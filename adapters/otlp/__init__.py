"""Orders' traces to a collector: OTLP over HTTP, in JSON."""
