"""Detectors: whether a stream of measurements is not what it was.

Pure: frozen state and a measurement in, frozen state and what is said of it out. A map of the package:

- ``baseline``: what a stream is like while it is in control, learned from itself; measurements in its units
- ``share``: the same for a number of failures among a number of exchanges, however few
- ``chart``: control charts over such units: 3-sigma (Shewhart), EWMA, CUSUM, Page-Hinkley
- ``change_point``: a change of level within a window of such units, by PELT
- ``run_length``: how often a chart is wrong, and the limit for which it is so rarely enough
- ``stream``: one watched stream: learn, judge, begin and end an episode
- ``drift``: whether values are distributed as in a reference window, by PSI or Kolmogorov-Smirnov
- ``score``: accuracy, precision, recall, F1 and calibration from predictions and labels
- ``season``: what a stream's daily course leaves, by STL
- ``novelty``: several streams together, by an isolation forest or an autoencoder
"""
