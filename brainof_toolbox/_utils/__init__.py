"""Helpers that know nothing of brains: checks, logging, progress."""
