"""Score the embeddings of checkpoints on the sets and folds of the development suite.

``BRAINOF_DATA=... python -m benchmarks.weights run CHECKPOINT [CHECKPOINT ...]`` from the root of
the repository scores the forms of the latents (``compact`` read-outs, ``flatten``, ``mean``) of
each checkpoint by a linear probe on latents alone; ``table`` prints scores and paired
differences, ``pages`` writes the tables and the figure of ``doc/weights.rst``. A checkpoint is a
folder, a name, or ``untrained:SEED``: random weights with the configuration and preprocessing of
the first folder or name. Its read-outs were never trained and predict nothing, so that an
untrained network has ``flatten`` and ``mean`` only. After an interruption, the same command
computes the rest.

===========  ======================================================================
module       content
===========  ======================================================================
``scoring``  one checkpoint on one set -> a line of results
``people``   identification of people; shares of the variance between them
``tables``   lines -> scores, paired differences, means over sets
``pages``    the tables and the figure of the book
===========  ======================================================================
"""
