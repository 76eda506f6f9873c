"""Scripts behind the numbers of the documentation: ``python -m benchmarks.<name>``."""
