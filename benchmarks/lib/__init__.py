"""Data sets, decoders, statistics and tables that the scripts share."""
