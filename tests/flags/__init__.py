"""What feature flags promise."""
