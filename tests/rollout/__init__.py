"""What allocators promise."""
