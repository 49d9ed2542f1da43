"""Whole connections under arbitrary bytes, judged by a second reading that shares no code with the router."""
