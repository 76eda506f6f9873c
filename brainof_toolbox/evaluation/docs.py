"""Texts that docstrings of evaluation and inspection share."""

from __future__ import annotations

from .._utils.docs import fill_doc

DOCS = {
    "samples": """
X : object
    Samples: :class:`mne.Epochs`, a list of them (one per subject or montage) whose samples are all
    their epochs in order, a list of :class:`mne.Evoked`, braindecode's datasets of windows (with
    the labels of their ``description``), records, an array, :class:`~brainof_toolbox.Signals`, or
    anything else that scikit-learn can index.
y : array-like, shape (n_samples,) | str
    Labels or continuous targets. A name means a column of ``epochs.metadata`` (or another label
    that the samples carry), and ``"event"`` the names of events in ``epochs.event_id``.
""",
    "groups": """
groups : array-like, shape (n_samples,) | str | None
    Subject of each sample; the run or session when there is one subject only. ``None``
    infers them from ``X``: ``X.groups``, ``X.subject``, a ``subject`` column of
    ``X.metadata``, ``"subject"`` of each record of a list, ``sub-XX`` in names of files. A name
    means a column of ``epochs.metadata``; ``"item"`` each item of a list of Epochs, such as one
    per subject; ``"none"`` treats all samples as independent.
""",
    "cv": """
cv : int | splitter | iterable of (train, test) | None
    ``None``: each group once when there are up to 5, or 7 that hold all classes; else 5, 4 or 3
    folds with equally many groups, or 5 where no such number divides them (fewer where a class
    has fewer groups). Groups with one label each are left out with groups of the other classes,
    as far as there are any: alone, they would be of the class that is rarer in training.
""",
    "scoring": """
scoring : str | callable | None
    ``None``: balanced accuracy for classifiers; mean absolute error (lower is better), the
    correlation ``r`` and ``r2`` for regressors, of each fold and of all test samples
    together. Otherwise any scorer of scikit-learn.
""",
    "running": """
n_permutations : int
    Permutations of the labels for a p-value of each estimator against chance; 0 for none. Labels
    are permuted over whole groups where each group has one label, else within each group, and over
    samples without groups. Inside a group, a label that holds for a session, task or run moves
    with all of its samples, where ``X`` carries these; an array does not, so pass windows of a
    recording as :class:`~brainof_toolbox.Signals`. Every permutation repeats the whole
    cross-validation, so 1000 of them take 1000 times as long; a frozen network, as first step of a
    pipeline or under a probe, is run over all samples only once in any case.
random_state : int | None
    Seed of shuffled folds, of permutations and of drawn sign flips.
n_jobs : int | None
    Folds, or permutations, computed in parallel.
verbose : bool | None
    ``None`` shows progress of work that takes longer than a few seconds: a bar on a terminal and
    in notebooks, a line every 30 s elsewhere. ``True``: from the start; ``False``: never.
""",
    "fitted": """
estimator : BrainOFEmbedder | BrainOFClassifier | BrainOFRegressor
    Fitted; its present network is used, fine-tuned or not.
""",
    "X": """
X : object
    Samples in any accepted form, of one montage per modality. Use left-out samples to map what
    generalises.
""",
    "y_or_predicted": """
y : array-like, shape (n_samples,) | str | None
    Targets of the samples, or the name of a column of ``epochs.metadata``. ``None`` takes the
    estimator's own predictions, from all of the input, as targets.
""",
    "bands": """
bands : dict of str -> (float, float) | None
    Lower and upper edge in Hz by name. ``None``: theta to gamma for EEG and MEG, three bands
    of slow fluctuations for fMRI; bands above the Nyquist frequency are left out.
""",
    "modality": """
modality : str | None
    ``"eeg"``, ``"meg"`` or ``"fmri"``; ``None`` where there is only one.
""",
    "block": """
block : str | None
    Name of the block; ``None`` where there is only one.
""",
    "output": """
output : str | None
    One of ``outputs``; ``None`` where there is only one.
""",
    "axes": """
axes : matplotlib.axes.Axes | None
    Axes to draw in; ``None`` makes a figure.

Returns
-------
figure : matplotlib.figure.Figure
    The figure.
""",
    "layout": """
ch_names : tuple of str
    Sensors or regions.
ch_types : tuple of str
    Their types.
ch_pos : ndarray, shape (n_channels, 3)
    Metres, head frame.
times : ndarray, shape (n_patches,)
    Centres of the patches in s from the start of a window.
""",
}

fill_evaluation_doc = fill_doc(DOCS)
