"""What the pages of scores say around their tables."""

from __future__ import annotations

_MADE_BY = """Made by::

    python -m venv .venv-benchmarks
    .venv-benchmarks/bin/pip install -c constraints.txt -e . -r benchmarks/requirements.txt
    BRAINOF_DATA=/path/to/recordings .venv-benchmarks/bin/python benchmarks/quality.py {arguments}

from results that are kept, a line each, in ``benchmarks/results``; those of the pretrained network
are of the weights with sha256 ``{sha256}``.

The network is ``brainof-tiny`` (the preset ``tiny``, pretrained) or the same network with
random weights: frozen under a logistic regression (**probe**; {n_untrained} seeds of the random
weights where nothing is simulated), or trained on the training side of each split (**full**:
from the probe's head, at most {max_epochs} epochs, early stopping after two epochs without
improvement on an inner split by whole subjects or runs where there are several, not trained
again with the samples of that split; learning rate 1e-3, no augmentation, one seed; **lora**
likewise, with differences of rank 32 to the attention of the backbone). Few epochs are what two
cores allow; a network from scratch would use more. Nothing of the network,
its training or its pooling was chosen per set. Hyper-parameters of all decoders are defaults or
chosen inside training folds.

Nobody who is tested was in the corpus of ``brainof-tiny`` (``benchmarks/pretraining/split.toml``).
Where a set was divided between pretraining and evaluation, those used in pretraining always stay
on the training side, for every decoder alike. The simulated data sets are made by the code that
made the simulated part of the corpus, with other seeds and other people: there the network is at
home, and these rows say nothing about real recordings.

"""

_DIFFERENCES = """Mean over units (subjects, or runs, or folds; those of several data sets count
one by one, repetitions on one data set are averaged first) of the first decoder's score minus
the second's, with the two-sided p-value of a sign-flip permutation, not corrected for the
number of pairs. With n units no p-value is below 2 / 2\\ :sup:`n`. "(best)" is the classical
decoder with the highest mean on this set. It was picked after the fact, on these same folds,
which favours it; all of them are in the tables above.

"""

MEEG_PAGE = (
    """Decoding scores
===============

"""
    + _MADE_BY
    + """Classical decoders (``brainof_toolbox.baselines``, ``benchmarks/_tangent.py``): common
spatial patterns, log band power, shrinkage LDA on averaged samples, and logistic regression in the
tangent space of covariances (pyRiemann; OAS; 8 to 30 Hz, a bank of five bands, and covariances
with Xdawn responses). EEGNet and ShallowFBCSPNet are braindecode's with their own defaults, at the
rates for which they were published, trained on the same splits
(``benchmarks/_convolutional.py``). Classes are weighted to count the same, except in the
discriminant analyses.

Balanced accuracy is the mean over folds; intervals are Student's t over folds, or a bootstrap over
subjects where there are more than five, widened because folds share training samples. The sensors
of meg-hand-direction have no positions and no stated unit: they are placed by order, and values
are taken as femtotesla.

{overview}
Every set
---------

{sets}
Differences
-----------

"""
    + _DIFFERENCES
    + """{differences}
A quarter of the labels
-----------------------

The training side of each fold is cut to a quarter of each class: whole subjects (or runs) in
random order while they fit, then a part of one more. {n_quarters} draws (the first
{n_quarters_full} where the network is trained), the same for all decoders, paired by draw; tests
are as above.

{quarter}
{quarter_differences}
Files read
----------

Every file of eeg-formats and meg-formats through ``brainof embed``: rows x features, or why not.

{formats}
Choices
-------

What the paper leaves open and was decided on these sets, before there were pretrained weights, by
the probe on untrained features: balanced accuracy when one choice differs from the default
(``pooling`` of the estimators, ``Preprocessing.scaling``, and ``spectrum``, ``spectrum_gain`` and
``waveform_lowpass_init`` of ``BrainOFConfig``). One seed; everybody is tested here, also those
whom the tables above test: for these choices all scores of the untrained network are development
scores. Differences of a few hundredths mean nothing.

{choices}"""
)

FMRI_PAGE = (
    """fMRI, BIDS and paired modalities
================================

"""
    + _MADE_BY
    + """Classical decoders are logistic regressions on the mean of each
voxel or region, on correlations between regions ("connectivity"; "fmri: regions" is that in
runs, and means in trials), on band power, and on all of these together ("all classical"), and
nilearn's ``Decoder`` with its defaults on the mean image of each block (support vector machine
on the fifth of the voxels that differ most; strength chosen on left-out runs).

{overview}
Every set
---------

fmri-haxby: one subject, eight blocks in each of eight runs. The runs are laid out as a BIDS
dataset and read by ``epochs_from_bids``: motion regressed out, voxels standardised over the
run, blocks cut by ``events.tsv`` with a haemodynamic shift. The default shift is 5 s; classical
decoders show that onsets of this copy fit better without one, so both are listed; the network
is trained without it only. simulated-bids: ``make_paired_recordings``, written with
mne-bids, read by ``read_bids``; the column ``sex``, which carries an effect there. The network is
only frozen there: each record has twenty windows of all three modalities, too many for two cores
(``--decoders "{tuned}" "{scratch}"`` trains it). The other simulated sets:
``make_paired_signals``.

{sets}
Differences
-----------

"""
    + _DIFFERENCES
    + """{differences}
Identification
--------------

fmri-hcp-rest: of ten subjects, which second half of a run (600 volumes of 94 regions) belongs to
which first half. fmri-story-listening: six regions of nine listeners to one story, none of whom
was in pretraining; a segment of 60 s of one of them is looked for among the mean segments of the
others. Share of right answers, both ways of asking; features are centred over what is compared and
correlated. Intervals are Student's t over subjects. The set does not give the places of its six
regions: they are approximate.

{identification}
{identification_differences}
Several modalities together
---------------------------

Simulated samples (``make_paired_signals``, {n_samples} of each of {n_subjects} subjects), each
modality seeing its own noisy view of two states; balanced accuracy on left-out subjects, chance
0.5. With ``brainof-tiny``, all three modalities beat the best single one in **{won}** seeds
(difference {low:+.3f} to {high:+.3f}). The last rows are classical features.

{combinations}
Modalities missing at random
----------------------------

The same samples, each lacking each modality with some probability (one always stays), in training
and test alike: mean over seeds. Classical features are filled in with means.

{missing}"""
)
