"""Groups into ``fit``, through pipelines and searches; who was in a checkpoint's corpus."""

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
from .._utils.subjects import hash_subject

#: Where fitted estimators keep the estimators that they fitted.
_INNER = ("best_estimator_", "estimator_", "regressor_", "classifier_", "final_estimator_")
_INNER_LISTS = ("steps", "estimators_", "transformer_list", "transformers_")
#: What is looked for in a routing: who takes groups in ``fit``.
_GROUPS = ("fit", ["groups"])
#: scikit-learn gives the last estimator of a stack all that the others asked for.
_UNROUTED = (StackingClassifier, StackingRegressor)


def fit_with_groups(estimator, X, y, groups):
    """Fit, handing the groups to whatever splits or validates inside."""
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
    """Have all parts that take groups ask for them; None where a part cannot be asked."""
    with config_context(enable_metadata_routing=True):
        for part in [estimator, *estimator.get_params(deep=True).values()]:
            if isinstance(part, type) or not hasattr(part, "get_params"):
                continue
            if isinstance(part, _UNROUTED):
                return None
            if hasattr(part.get_params(deep=False).get("cv"), "split"):
                part.set_params(cv=_asking_splitter(part.cv))
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
        except RuntimeError:  # AdaBoost has no routing, nor has what holds it
            return None


def _asking_splitter(cv):
    """A splitter of somebody's own gets groups without asking for them, as without routing."""
    is_own = not type(cv).__module__.startswith("sklearn.")
    takes = "groups" in signature(cv.split).parameters
    is_asking = get_routing_for_object(cv).consumes("split", ["groups"])
    return _AskingSplitter(cv) if is_own and takes and not is_asking else cv


class _AskingSplitter(BaseCrossValidator):
    """A splitter that asks for groups on behalf of another."""

    __metadata_request__split = {"groups": True}

    def __init__(self, cv):
        self.cv = cv

    def split(self, X, y=None, groups=None):
        return self.cv.split(X, y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.cv.get_n_splits(X, y, groups)


def _fit_arguments(estimator, groups):
    """Keywords of ``fit`` that bring the groups to where they are taken, without routing."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return {f"{name}__{key}": value for key, value in _fit_arguments(last, groups).items()}
    if isinstance(estimator, BaseSearchCV):
        inner = _fit_arguments(estimator.estimator, groups)
        # Folds by number ignore groups, and say so on every call.
        is_number = estimator.cv is None or isinstance(estimator.cv, numbers.Integral)
        return inner if is_number else {**inner, "groups": groups}
    return {"groups": groups} if has_fit_parameter(estimator, "groups") else {}


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
        manifest = getattr(getattr(part, "encoder_", None), "manifest", None)
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
    if hasattr(estimator, "precompute"):
        frozen = clone(estimator)
        ahead = frozen.precompute(X)
        return (estimator, X, None) if ahead is None else (estimator, ahead, frozen)
    is_pipeline = isinstance(estimator, Pipeline) and len(estimator.steps) > 1
    if is_pipeline and getattr(estimator.steps[0][1], "_is_frozen", False):
        frozen = clone(estimator.steps[0][1]).fit(X)
        features = frozen.transform(X)
        return Pipeline(estimator.steps[1:], memory=estimator.memory), features, frozen
    return estimator, X, None
