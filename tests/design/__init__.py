"""What plans of experiments promise."""
