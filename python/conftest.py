"""What the examples in docstrings take for granted."""

from typing import Any

import numpy as np
import pytest

import elbo


@pytest.fixture(autouse=True)
def _names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(np=np, elbo=elbo)
