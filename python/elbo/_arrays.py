"""What the functions of this package take for a sample, as arrays of NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Whatever is an array or a table: of NumPy, PyTorch, JAX, pandas, polars, or nested lists.
Samples = Any


class Rows(NamedTuple):
    """A sample as the engine takes it."""

    name: str
    #: C-ordered; one row, image or number per point.
    values: NDArray[np.float64]
    #: Names of the columns, if the table has them.
    columns: list[str] | None
    #: The value of white, for images of whole numbers.
    white: float | None


def rows(name: str, samples: Samples) -> Rows:
    """``samples`` as an array: not copied if it is a C-ordered array of float64."""
    columns = _column_names(samples)
    if columns is not None and hasattr(samples, "to_numpy"):
        samples = _numbers(name, samples, columns)
    array = _array(samples)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name} is an array of {array.dtype}, but numbers are expected; leave out columns of texts, "
            f"or give their classes numbers"
        )
    if array.ndim == 0:
        raise TypeError(f"{name} is a single number, but a sample is an array with a row per point")
    white = float(np.iinfo(array.dtype).max) if array.dtype in (np.uint8, np.uint16) else None
    return Rows(name, np.require(array, np.float64, ["C", "A"]), columns, white)


def _array(samples: Samples) -> NDArray[Any]:
    if hasattr(samples, "detach"):  # A tensor of PyTorch may need gradients, or lie on another device.
        samples = samples.detach().cpu()
    if hasattr(samples, "__array__") or not hasattr(samples, "__dlpack__"):
        return np.asarray(samples)
    return np.from_dlpack(samples)


def _column_names(samples: Samples) -> list[str] | None:
    names = getattr(samples, "columns", None)
    return None if names is None or callable(names) else [str(name) for name in names]


def _numbers(name: str, table: Samples, columns: list[str]) -> NDArray[Any]:
    """The values of a table of pandas or polars; missing ones are NaN."""
    try:
        array = np.asarray(table.to_numpy())
        return array if array.dtype.kind in "buif" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        # A column of texts, dates or the like: say which.
        for column in columns:
            values = table[column].to_numpy()
            try:
                np.asarray(values).astype(np.float64)
            except (TypeError, ValueError):
                raise TypeError(
                    f"column {column!r} of {name} is not numbers ({values.dtype}); leave it out, or give its "
                    f"classes numbers"
                ) from error
        raise
