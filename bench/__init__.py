"""Benchmarks: `python -m bench` prints the table, `python -m pytest bench` runs them under pytest-benchmark."""
