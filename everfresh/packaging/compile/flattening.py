"""A pipeline, of pipelines perhaps, as the steps that it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer


def steps_of(transformer: Any) -> Iterator[Any]:
    """The fitted steps of a transformer or a pipeline (of pipelines), without those that do nothing."""
    if isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            yield from steps_of(step)
    # scikit-learn replaces "passthrough" by a FunctionTransformer without a function.
    elif not (
        transformer is None
        or isinstance(transformer, str)
        or (isinstance(transformer, FunctionTransformer) and transformer.func is None)
    ):
        yield transformer
