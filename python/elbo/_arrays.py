"""What the functions of this package take for a sample, as arrays of NumPy."""

from __future__ import annotations

import contextlib
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
    if isinstance(samples, np.ma.MaskedArray):
        samples = np.ma.filled(samples.astype(np.float64), np.nan)
    array = _array(samples) if columns is None else _numbers(name, samples, columns)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name} is an array of {array.dtype}, but numbers are expected; leave out columns of texts, "
            f"or give their classes numbers"
        )
    if array.ndim == 0:
        raise TypeError(f"{name} is a single number, but a sample is an array with a row per point")
    brightness = array.dtype.kind == "u" and array.dtype.itemsize <= 2
    white = float(np.iinfo(array.dtype).max) if brightness else None
    named = None if columns is None or _counted(samples) else columns
    return Rows(name, np.require(array, np.float64, ["C", "A"]), named, white)


def _array(samples: Samples) -> NDArray[Any]:
    if hasattr(samples, "detach"):  # A tensor of PyTorch may need gradients, or lie on another device.
        samples = samples.detach().cpu()
    if hasattr(samples, "__array__") or not hasattr(samples, "__dlpack__"):
        return np.asarray(samples)
    return np.from_dlpack(samples)


def _column_names(samples: Samples) -> list[str] | None:
    if not hasattr(samples, "to_numpy"):
        return None
    names = getattr(samples, "columns", None)
    return None if names is None or callable(names) else [str(name) for name in names]


def _counted(table: Samples) -> bool:
    """Whether columns have numbers instead of names, as pandas gives them by itself."""
    return all(isinstance(name, (int, np.integer)) for name in table.columns)


def _numbers(name: str, table: Samples, columns: list[str]) -> NDArray[Any]:
    """The values of a table of pandas or polars; missing ones are NaN."""
    values = []
    for column, label in zip(columns, table.columns):
        series = table[label]
        array = np.asarray(series.to_numpy())
        if array.dtype == object and hasattr(series, "isna"):  # Numbers of pandas that may be missing.
            with contextlib.suppress(TypeError, ValueError):
                array = series.to_numpy(dtype=np.float64, na_value=np.nan)
        if array.dtype.kind not in "buif":
            raise TypeError(
                f"column {column!r} of {name} is not numbers ({series.dtype}); leave it out, or give its classes numbers"
            )
        values.append(array.astype(np.float64))
    return np.stack(values, axis=1) if values else np.empty((len(table), 0))
