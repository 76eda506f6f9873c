"""Embeddings and decoding of EEG, MEG and fMRI with the Brain-OF network.

The public names stand in ``__init__.pyi``; each is imported when it is first used.
"""

__version__ = "0.1.0"

try:
    import lazy_loader as _lazy
except ModuleNotFoundError:  # machines that only train: brainof_toolbox.pretraining, by its name
    pass
else:
    __getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
