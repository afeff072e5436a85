from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh.serving.versions.desired import DesiredModel

VERSIONS = st.integers(1, 50)


@given(
    st.builds(
        DesiredModel,
        version=st.just(99),
        traffic=st.dictionaries(VERSIONS, st.floats(0, 20), max_size=5),
        shadow=st.none() | VERSIONS,
        loaded=st.lists(VERSIONS, max_size=3).map(tuple),
        aliases=st.dictionaries(st.sampled_from(["champion", "challenger", "dark_horse"]), VERSIONS),
    )
)
def test_what_is_written_is_read_again(model):
    assert DesiredModel.from_json(model.to_json()) == model


def test_every_version_that_is_named_is_loaded_once_and_the_default_one_first():
    model = DesiredModel(3, traffic={4: 5}, shadow=5, loaded=(2, 4), aliases={"champion": 3, "previous": 1})
    assert model.versions == (3, 4, 5, 2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (5, "5 is no object with the key version"),
        ({}, "the key version is missing"),
        ({"version": 0}, "0 is not a version"),
        ({"version": True}, "True is not a version"),
        ({"version": "3"}, "'3' is not a version"),
        ({"version": 3, "trafic": {}}, "'trafic' is none of aliases, loaded, log, shadow, traffic, version"),
        ({"version": 3, "traffic": {"3": 5}}, "version 3 is the default, which gets what traffic leaves over"),
        ({"version": 3, "traffic": {"4": 60, "5": 50}}, "the shares of the traffic add up to 110 %"),
        ({"version": 3, "traffic": {"4": -1}}, "-1 is not a share in percent"),
        ({"version": 3, "traffic": {"4": float("nan")}}, "nan is not a share in percent"),
        ({"version": 3, "traffic": {"four": 4}}, "'four' is not a version"),
        ({"version": 3, "traffic": [4]}, "traffic is [4], which is no object"),
        ({"version": 3, "loaded": 4}, "loaded is 4, which is no list of versions"),
        ({"version": 3, "log": {"sample": 2}}, "log: sample is 2 and must be above 0 and at most 1"),
        ({"version": 3, "aliases": {"4": 4}}, "'4' is no name for an alias"),
        ({"version": 3, "aliases": {"../x": 4}}, "'../x' is no name for an alias"),
    ],
)
def test_what_is_no_desired_model_is_told_why(content, message):
    with pytest.raises(ValueError, match="^" + message.replace("[", r"\[").replace("]", r"\]").replace("(", r"\(")):
        DesiredModel.from_json(content)
