"""The serving benchmark: everfresh beside other Python model servers, on one machine and on the same two models.

`make bench-serving` sets everything up, measures, and writes docs/benchmarks.md.
"""
