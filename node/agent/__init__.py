"""The daemons: configuration, start-up order, wiring, status."""
