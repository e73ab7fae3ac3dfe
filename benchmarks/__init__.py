"""What the product costs in time: `make bench`, or `python -m benchmarks [NAME…]`. See docs/benchmarks.md."""
