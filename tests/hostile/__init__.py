"""Raw-socket tests of the data plane: bad input from callers, faults of targets, and what becomes of each."""
