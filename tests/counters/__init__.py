"""What the shared counters promise."""
