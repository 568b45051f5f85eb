"""Measurements that anyone can repeat: `python -m benchmarks.NAME`; the last line of output is one JSON object."""
