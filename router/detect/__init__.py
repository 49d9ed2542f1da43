"""Detectors: whether a stream of measurements is not what it was.

Pure. A map of the package:
"""
