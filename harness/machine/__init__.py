"""The machine: devices, precision, memory, provenance."""
