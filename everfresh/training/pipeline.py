"""What stands between a model frame and an estimator.

Every setting here is plain on purpose: a fitted pipeline is stored by skops and compiled to ONNX step by
step, so there are no functions, no lambdas and no frames inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import get_tags

from everfresh.data.columns import Column

MISSING_CATEGORY = "(missing)"
"""What a missing category becomes, so that encoders see strings only and learn it like any other value."""

UNSEEN_CATEGORY_CODE = -1
"""The ordinal code of a category that training never saw; seen ones count from 0."""

InputForm = Literal["scaled", "coded", "coded_with_gaps"]
"""How an estimator wants its matrix: `scaled` numbers and one-hot categories; or plain numbers and categories as
codes, with medians for missing numbers (`coded`) or with NaN (`coded_with_gaps`)."""

_TREES = (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)


def build_pipeline(estimator: BaseEstimator, columns: Sequence[Column]) -> Pipeline:
    """An unfitted pipeline that reads `columns` of a model frame; other columns of the frame are ignored.

    Its steps are always `prepare` (see `build_preparation`) and `model`.
    """
    return Pipeline([("prepare", build_preparation(input_form(estimator), columns)), ("model", estimator)])


def input_form(estimator: BaseEstimator) -> InputForm:
    """How `estimator` wants its matrix.

    Trees split on thresholds, so they need neither scaling nor one-hot columns, and many of them split on NaN.

    >>> input_form(HistGradientBoostingRegressor()), input_form(GradientBoostingRegressor())
    ('coded_with_gaps', 'coded')
    """
    if not isinstance(estimator, _TREES):
        return "scaled"
    return "coded_with_gaps" if get_tags(estimator).input_tags.allow_nan else "coded"


def build_preparation(form: InputForm, columns: Sequence[Column]) -> ColumnTransformer:
    """From a model frame to a dense float64 matrix: the transformers `numbers` and `categories`, if there are any.

    Missing values are NaN, in numbers and in categories, as `model_frame` writes them. A missing category is a category
    like any other. One that training never saw is `UNSEEN_CATEGORY_CODE` among the codes, and all 0 among one-hot
    columns; codes of seen ones follow the alphabet.
    """
    numbers = [column.name for column in columns if not column.is_category]
    categories = [column.name for column in columns if column.is_category]
    steps = [("numbers", _numbers(form), numbers), ("categories", _categories(form), categories)]
    return ColumnTransformer(
        [step for step in steps if step[2]],
        # Always dense: a matrix that is sparse for one table and dense for the next would be two models to export.
        sparse_threshold=0.0,
        verbose_feature_names_out=False,
    )


def _numbers(form: InputForm) -> Pipeline | SimpleImputer | str:
    if form == "coded_with_gaps":
        return "passthrough"
    # keep_empty_features: a number that is missing in all rows becomes 0 instead of silently leaving the matrix.
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", impute), ("scale", StandardScaler())]) if form == "scaled" else impute


def _categories(form: InputForm) -> Pipeline:
    fill = SimpleImputer(strategy="constant", fill_value=MISSING_CATEGORY, keep_empty_features=True)
    return Pipeline([("fill", fill), ("encode", _encoder(form))])


def _encoder(form: InputForm) -> OrdinalEncoder | OneHotEncoder:
    if form == "scaled":
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float64)
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN_CATEGORY_CODE, dtype=np.float64)
