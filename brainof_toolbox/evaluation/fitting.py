"""Groups into ``fit``, through pipelines and searches; who was in a checkpoint's corpus."""

from __future__ import annotations

import numbers
import warnings
from copy import deepcopy

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.feature_selection import RFECV
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from .._utils.logging import warn
from .._utils.subjects import hash_subject

#: Where fitted estimators keep the estimators that they fitted.
_INNER = ("best_estimator_", "estimator_", "regressor_", "classifier_", "final_estimator_")
_INNER_LISTS = ("steps", "estimators_", "transformer_list", "transformers_")


def fit_with_groups(estimator, X, y, groups):
    """Fit, handing the groups to whatever splits or validates inside."""
    # y (n_samples,), groups (n_samples,).
    last = _last_step(estimator)
    if groups is not None and isinstance(last, BaseSearchCV):
        inner = _last_step(last.estimator)
        if inner is last.estimator and has_fit_parameter(inner, "groups"):
            # A search keeps ``groups`` for its splits; only routing hands them on as well.
            with config_context(enable_metadata_routing=True):
                inner.set_fit_request(groups=True)
                return estimator.fit(X, y, groups=groups)
    return estimator.fit(X, y, **_fit_arguments(estimator, groups))


def _last_step(estimator):
    return _last_step(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def _fit_arguments(estimator, groups):
    """Keywords of ``fit`` that bring the groups to where they are taken."""
    if groups is None:
        return {}
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {f"{name}__{key}": value for key, value in _fit_arguments(last, groups).items()}
    if isinstance(estimator, BaseSearchCV):
        inner = _fit_arguments(estimator.estimator, groups)
        # Folds by number ignore groups, and say so on every call.
        is_number = estimator.cv is None or isinstance(estimator.cv, numbers.Integral)
        return inner if is_number else {**inner, "groups": groups}
    is_taken = has_fit_parameter(estimator, "groups") or isinstance(estimator, RFECV)
    return {"groups": groups} if is_taken else {}


def warn_of_inner_splits(estimator, y, groups, is_classification):
    """Warn when a search would choose hyper-parameters on subjects that it trains on."""
    # y (n_samples,), groups (n_samples,).
    for search in [estimator, *estimator.get_params(deep=True).values()]:
        if not isinstance(search, BaseSearchCV):
            continue
        shared = _shared_inside(search.cv, y, groups, is_classification)
        if shared:
            warn(
                f"{type(search).__name__}(cv={search.cv!r}) puts samples of one group on both "
                f"sides of its inner splits ({', '.join(map(str, shared[:3]))}): it chooses "
                "hyper-parameters for groups that it knows. Give it cv=GroupKFold(3); the groups "
                "reach it by themselves."
            )


def _shared_inside(cv, y, groups, is_classification):
    """Groups on both sides of the first inner split that shares any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as "groups are ignored by KFold"
        try:
            splitter = check_cv(deepcopy(cv), y, classifier=is_classification)
            for train, test in splitter.split(np.zeros(len(y)), y, groups):
                shared = set(groups[train]) & set(groups[test])
                if shared:
                    return sorted(shared, key=str)
        except (ValueError, IndexError):  # splits that do not fit: the search will say so itself
            pass
    return []


def find_seen(estimator, names):
    """Test subjects that a checkpoint's manifest lists."""
    known = set()
    for part in _parts(estimator):
        manifest = getattr(part, "_manifest", None)
        if isinstance(manifest, dict):
            known.update(manifest.get("subjects") or ())
    known.discard(hash_subject(""))  # a corpus may hold recordings whose header names nobody
    return tuple(str(name) for name in names if hash_subject(name) in known)


def _parts(estimator):
    """The estimator and all that it fitted: steps, members, the best of a search."""
    waiting, done = [estimator], []
    while waiting:
        part = waiting.pop()
        if isinstance(part, str) or any(part is other for other in done):
            continue
        done.append(part)
        waiting += [getattr(part, name) for name in _INNER if hasattr(part, name)]
        for name in _INNER_LISTS:
            for item in getattr(part, name, None) or ():
                waiting.append(item[1] if isinstance(item, tuple) else item)
    return done


def warn_of_seen(seen):
    """Warn of test subjects that a checkpoint was trained on."""
    seen = sorted({name for fold in seen for name in fold})
    if seen:
        warn(
            f"{len(seen)} test subject(s) may have been in the corpus of the checkpoint, by name: "
            f"{', '.join(seen[:10])}. Their scores are not those of unseen subjects."
        )


def embed_once(estimator, X):
    """Apply what is frozen to all samples at once, rather than again in every fold."""
    # What says of itself that it is frozen gives rows that depend on their own sample alone:
    # :class:`~brainof_toolbox.BrainOFEmbedder` as first step of a pipeline, and the network under
    # a probe.
    if hasattr(estimator, "embed_ahead"):
        frozen = clone(estimator)
        ahead = frozen.embed_ahead(X)
        return (estimator, X, None) if ahead is None else (estimator, ahead, frozen)
    is_pipeline = isinstance(estimator, Pipeline) and len(estimator.steps) > 1
    if is_pipeline and getattr(estimator.steps[0][1], "_is_frozen", False):
        frozen = clone(estimator.steps[0][1]).fit(X)
        features = frozen.transform(X)
        return Pipeline(estimator.steps[1:], memory=estimator.memory), features, frozen
    return estimator, X, None
