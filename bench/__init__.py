"""Benchmarks that assert the answer before they time it. `python -m bench --help`."""
