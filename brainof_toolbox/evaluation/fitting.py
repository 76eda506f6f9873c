"""Pass groups to ``fit`` through pipelines and searches; find subjects of the pretraining."""

from __future__ import annotations

import numbers
import warnings
from copy import deepcopy
from inspect import signature

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.model_selection import BaseCrossValidator, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import (
    MetadataRequest,
    MetadataRouter,
    get_routing_for_object,
)
from sklearn.utils.validation import has_fit_parameter

from .._utils.logging import warn
from .._utils.subjects import add_data_set, hash_subject

#: Attributes of fitted estimators that hold fitted estimators.
_INNER = ("best_estimator_", "estimator_", "regressor_", "classifier_", "final_estimator_")
_INNER_LISTS = ("steps", "estimators_", "transformer_list", "transformers_")
#: The request to look for in a routing.
_GROUPS = ("fit", ["groups"])
#: scikit-learn passes all requested metadata to the last estimator of a stack.
_UNROUTED = (StackingClassifier, StackingRegressor)


def fit_with_groups(estimator, X, y, groups):
    """Fit, and pass the groups to all inner splitters and validations."""
    # y (n_samples,), groups (n_samples,).
    if groups is None:
        return estimator.fit(X, y)
    routing = _route_groups(estimator)
    if routing is None:
        with config_context(enable_metadata_routing=False):
            return estimator.fit(X, y, **_fit_arguments(estimator, groups))
    if not isinstance(routing, MetadataRouter):
        return estimator.fit(X, y, **({"groups": groups} if routing.consumes(*_GROUPS) else {}))
    if not routing.consumes(*_GROUPS):
        return estimator.fit(X, y)
    with config_context(enable_metadata_routing=True):
        return estimator.fit(X, y, groups=groups)


def _route_groups(estimator):
    """Request groups for all parts that take them; None where a part has no requests."""
    with config_context(enable_metadata_routing=True):
        for part in [estimator, *estimator.get_params(deep=True).values()]:
            if isinstance(part, type) or not hasattr(part, "get_params"):
                continue
            if isinstance(part, _UNROUTED):
                return None
            if hasattr(part.get_params(deep=False).get("cv"), "split"):
                part.set_params(cv=_requesting_splitter(part.cv))
            if not has_fit_parameter(part, "groups"):
                continue
            if not hasattr(part, "get_metadata_routing"):
                return None
            requests = part.get_metadata_routing()
            is_open = isinstance(requests, MetadataRequest)
            if is_open and requests.fit.requests.get("groups", False) is None:
                part.set_fit_request(groups=True)
        try:
            return get_routing_for_object(estimator)
        except RuntimeError:  # AdaBoost has no routing
            return None


def _requesting_splitter(cv):
    """Make a splitter from outside scikit-learn request groups, which it gets without routing."""
    is_own = not type(cv).__module__.startswith("sklearn.")
    takes = "groups" in signature(cv.split).parameters
    requests_groups = get_routing_for_object(cv).consumes("split", ["groups"])
    return _RequestingSplitter(cv) if is_own and takes and not requests_groups else cv


class _RequestingSplitter(BaseCrossValidator):
    """Splitter that requests groups for another one."""

    __metadata_request__split = {"groups": True}

    def __init__(self, cv):
        self.cv = cv

    def split(self, X, y=None, groups=None):
        return self.cv.split(X, y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.cv.get_n_splits(X, y, groups)


def _fit_arguments(estimator, groups):
    """Return the keywords of ``fit`` that pass the groups on without routing."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {f"{name}__{key}": value for key, value in _fit_arguments(last, groups).items()}
    if isinstance(estimator, BaseSearchCV):
        inner = _fit_arguments(estimator.estimator, groups)
        # Folds by number ignore groups and warn in every call.
        is_number = estimator.cv is None or isinstance(estimator.cv, numbers.Integral)
        return inner if is_number else {**inner, "groups": groups}
    return {"groups": groups} if has_fit_parameter(estimator, "groups") else {}


def warn_of_inner_splits(estimator, y, groups, is_classification):
    """Warn if a search chooses hyper-parameters on subjects that it trains on."""
    # y (n_samples,), groups (n_samples,).
    for search in [estimator, *estimator.get_params(deep=True).values()]:
        if not isinstance(search, BaseSearchCV):
            continue
        shared = _shared_inside(search.cv, y, groups, is_classification)
        if shared:
            warn(
                f"{type(search).__name__}(cv={search.cv!r}) puts samples of one group on both "
                f"sides of its inner splits ({', '.join(map(str, shared[:3]))}), so it does not "
                "choose hyper-parameters for new groups. Give it cv=GroupKFold(3); groups are "
                "passed on."
            )


def _shared_inside(cv, y, groups, is_classification):
    """Return the groups on both sides of the first inner split that shares any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as "groups are ignored by KFold"
        try:
            splitter = check_cv(deepcopy(cv), y, classifier=is_classification)
            for train, test in splitter.split(np.zeros(len(y)), y, groups):
                shared = set(groups[train]) & set(groups[test])
                if shared:
                    return sorted(shared, key=str)
        except (ValueError, IndexError):  # splits that do not fit: the search raises
            pass
    return []


def find_pretraining_subjects(estimator, names, datasets=()):
    """Return test subjects, of data sets with these names, that a checkpoint's manifest lists."""
    known, listed = set(), set()
    for part in _parts(estimator):
        manifest = getattr(getattr(part, "encoder_", None), "manifest", None)
        if isinstance(manifest, dict):
            known.update(manifest.get("subjects") or ())
            listed.update(manifest.get("datasets") or ())
    return tuple(
        str(name) for name in names if not known.isdisjoint(_hashes(name, datasets, listed))
    )


def _hashes(name, datasets, listed):
    """Yield the hashes by which a manifest may list a subject; its name may begin with one."""
    label = str(name).strip().removeprefix("sub-")
    if not label:  # recordings without a subject
        return
    yield hash_subject(label)  # of samples that a network was fine-tuned on
    pairs = [(dataset, label) for dataset in datasets]
    for dataset in listed:
        if label.startswith(f"{dataset}-"):
            pairs += [(dataset, label), (dataset, label.removeprefix(f"{dataset}-"))]
    for dataset, label in pairs:
        yield add_data_set(hash_subject(label), dataset)


def _parts(estimator):
    """Return the estimator and all that it fitted: steps, members, the best of a search."""
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


def warn_of_pretraining_subjects(seen):
    """Warn of test subjects that a checkpoint was trained on."""
    seen = sorted({name for fold in seen for name in fold})
    if seen:
        warn(
            f"{len(seen)} test subject(s) may have been in the corpus of the checkpoint, by name: "
            f"{', '.join(seen[:10])}. Their scores are not those of unseen subjects."
        )


def embed_once(estimator, X, groups=None):
    """Apply the frozen part of an estimator to all samples at once rather than in every fold."""
    # Transformers with ``_is_frozen = True`` compute each row from its own sample only: the
    # embedder as first step of a pipeline. The network of a probe is frozen too.
    if hasattr(estimator, "precompute"):
        frozen = clone(estimator)
        ahead = frozen.precompute(X, groups)
        return (estimator, X, None) if ahead is None else (estimator, ahead, frozen)
    is_pipeline = isinstance(estimator, Pipeline) and len(estimator.steps) > 1
    if is_pipeline and getattr(estimator.steps[0][1], "_is_frozen", False):
        frozen = clone(estimator.steps[0][1]).fit(X)
        features = frozen.transform(X)
        return Pipeline(estimator.steps[1:], memory=estimator.memory), features, frozen
    return estimator, X, None
