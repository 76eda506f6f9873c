"""General helpers: checks, files, logging, progress."""
