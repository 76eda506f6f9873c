"""Look inside fitted estimators: what they go by, and how the network works."""

__all__ = []
