"""The examples in the docstrings of the Python interface."""

import doctest

import pytest

import sleepkd
from sleepkd.prediction import predicted_night


@pytest.mark.parametrize("module", [sleepkd, predicted_night])
def test_examples_of_docstrings(module) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted > 3 and not failed
