"""Pretraining: a corpus of recordings -> a checkpoint that the estimators load."""
