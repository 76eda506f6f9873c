"""Score decoders on labelled recordings, on the same fixed folds: the development suite.

``BRAINOF_DATA=... python -m benchmarks.suite run`` from the root of the repository scores every
decoder on every set, ``table`` prints what was found and ``figure`` draws a point per subject.

=================  ================================================================
module             content
=================  ================================================================
``sets``           the registry: what is decoded, from whom left out, the confounds
``read_*``         the readers, one function per set
``people``         people who are scored, and the folds
``decoders``       the decoders, as data
``conditions``     fewer channels, another cap, noise, a quarter of the labels
``scoring``        one decoder on one set -> lines of results
``results``        lines of JSON, one file per set
``summary``        lines -> scores, intervals, paired differences
``table, figure``  a page of text; a point per subject, a column per set
=================  ================================================================
"""
