"""What attribution, aggregates and data quality promise."""
