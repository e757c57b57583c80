"""What every process needs: settings, the Temporal connection, telemetry, health, a way to start and to stop."""
