"""Warnings are errors; what is left open is forgiven to browsers alone."""

import warnings

import pytest

LEFT_OPEN = "unclosed <socket>"


def test_what_is_left_open_is_an_error() -> None:
    with pytest.raises(ResourceWarning):
        warnings.warn(LEFT_OPEN, ResourceWarning, stacklevel=1)


@pytest.mark.browser
def test_with_a_browser_it_is_none() -> None:
    warnings.warn(LEFT_OPEN, ResourceWarning, stacklevel=1)
