"""Tests of samples that are larger than a machine, and many models at once, on a cluster of Dask.

Samples are ``dask.array`` or ``dask.dataframe`` objects, whose chunks of rows stay on the workers; what travels is a few
thousand rows that the bandwidth is found with, and sums. Chunks are made three times (to be counted, for these rows, for the
sums) and kept by nobody: ``persist()`` those that take long to make.

>>> import dask.array, dask.distributed
>>> client = dask.distributed.Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
>>> x = dask.array.random.default_rng(0).normal(size=(20_000, 3), chunks=(5_000, 3))
>>> y = dask.array.random.default_rng(1).normal(0.1, size=(20_000, 3), chunks=(5_000, 3))
>>> elbo.distributed.mmd_test(x, y, client).reject
True
>>> client.close()
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _elbo
from ._arrays import rows
from ._messages import warn
from ._results import MmdResult
from ._tests import Bandwidth, Engine, Kernel, _bandwidth, _call, _device
from ._vae import VAE

#: Parts whose sums one task adds up.
_TOGETHER = 8

#: Draws whose way through all rows one task follows.
_DRAWS = 16


def mmd_test(
    x: Any,
    y: Any,
    client: Any = None,
    *,
    features: int = 100,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    sum: bool = False,
    permutations: int = 199,
    alpha: float = 0.05,
    divisors: Any = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
) -> MmdResult:
    """Do two samples come from one distribution? The two-sample test with random features, in time linear in the rows.

    The result is that of ``elbo.mmd_test(x, y, features=..., permutations=...)`` of the same arrays: the same rows find the
    bandwidth, the same draws are made, and sums differ by their rounding in float64. A worker that dies takes nothing with it: Dask makes its parts again.

    Args:
        x: The first sample: a ``dask.array`` ``(n, ...)``, or a ``dask.dataframe`` of numbers.
        y: The second; columns of tables are matched by name.
        client: A ``dask.distributed.Client``; the current one if none is given.
        features: Random Fourier features; each kernel value has a standard error of at most about ``0.7 / sqrt(features)``.
        divisors: What columns are divided by, one number or one for each, such as their interquartile ranges: a rule that
            needs all rows is the caller's.

    The others are those of :func:`elbo.mmd_test`.
    """
    from dask.delayed import delayed

    start = time.perf_counter()
    client = _client(client)
    parts = [_parts(sample, name) for sample, name in ((x, "x"), (y, "y"))]
    names = [_columns(sample) for sample in (x, y)]
    order = _order(names)
    if divisors is None and names[0] is not None and len(names[0]) > 1:
        warn(
            ["columns are compared as they are, where elbo.mmd_test divides each by its interquartile range; give `divisors`"],
            stacklevel=2,
        )
    divisors = None if divisors is None else np.asarray(divisors, dtype=np.float64)
    flat = [
        delayed(_prepared)(part, name, None if name == "x" else order, divisors)
        for of_sample, name in zip(parts, ("x", "y"))
        for part in of_sample
    ]
    lengths = client.gather(client.compute([delayed(len)(part) for part in flat]))
    of_x = len(parts[0])
    counts = [int(np.sum(lengths[:of_x])), int(np.sum(lengths[of_x:]))]
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(int)

    wanted = _elbo.rows_of_rules(int(edges[-1]), seed)
    places = np.searchsorted(edges, wanted, side="right") - 1
    taken = client.gather(
        client.compute([delayed(_taken)(part, wanted[places == i] - edges[i]) for i, part in enumerate(flat)])
    )
    few = np.empty((len(wanted), *taken[0].shape[1:]))
    for i, values in enumerate(taken):
        few[places == i] = values
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "sum": sum,
        "features": features,
        "permutations": permutations,
        "alpha": alpha,
        "seed": seed,
        **_device(engine, adapter),
    }
    plan = _call(_elbo.feature_plan, rows("x and y", few), counts, options)

    draws = permutations + 1
    begins = [int(edge) for edge in edges[:-1]]
    groups = [(first, min(first + _DRAWS, draws)) for first in range(0, draws, _DRAWS)]
    walks = [client.submit(_elbo.still_to_choose, plan, begins, group, pure=False) for group in groups]
    still = np.concatenate(client.gather(walks), axis=1)
    sums = [delayed(_sums)(plan, part, begin, still[i]) for i, (part, begin) in enumerate(zip(flat, begins))]
    while len(sums) > 1:
        sums = [delayed(_added)(sums[i : i + _TOGETHER]) for i in range(0, len(sums), _TOGETHER)]
    chosen, everything = client.compute(sums[0]).result()
    chosen, everything = (np.require(each, requirements=["C", "A"]) for each in (chosen, everything))
    fields, null, notes = _call(_elbo.feature_result, plan, chosen, everything)
    fields.update(seconds=time.perf_counter() - start, engine="dask", adapter=_workers(client))
    warn([*notes, *fields["warnings"]], stacklevel=2)
    return MmdResult(fields, null)


def sweep(grid: dict[str, Iterable[Any]], X: Any, client: Any = None, *, validation: Any = None) -> list[dict[str, Any]]:
    """Trains a :class:`elbo.VAE` for each combination of parameters, side by side on the workers, and gives one table.

    Args:
        grid: Values of parameters of :class:`elbo.VAE`, such as ``{"beta": [1, 4], "objective": ["beta-vae"], "seed": [0, 1]}``.
        X: The data, which travel to each worker once.
        client: A ``dask.distributed.Client``; the current one if none is given.
        validation: Other data, whose ELBO is in the table too.

    Returns:
        A dictionary for each combination: its parameters, ``elbo``, ``sse``, ``kl``, ``active_units``, ``seconds``, and
        ``validation_elbo`` if that is asked for. A combination that fails has the sentence as its ``error``.
    """
    client = _client(client)
    data, held_out = client.scatter([X, validation], broadcast=True)
    names = list(grid)
    combinations = [dict(zip(names, values)) for values in itertools.product(*grid.values())]
    trained = [client.submit(_trained, parameters, data, held_out, pure=False) for parameters in combinations]
    return list(client.gather(trained))


def _client(client: Any) -> Any:
    if client is not None:
        return client
    from dask.distributed import get_client

    return get_client()


def _parts(sample: Any, name: str) -> list[Any]:
    """Chunks of rows, to be made on the workers."""
    if not hasattr(sample, "to_delayed") or not hasattr(sample, "npartitions"):
        raise TypeError(f"{name} is no array or table of Dask; use elbo.mmd_test, or dask.array.from_array")
    delayed = sample.to_delayed()
    if isinstance(delayed, np.ndarray):
        if int(np.prod(delayed.shape[1:])) > 1:
            raise ValueError(f"{name} has chunks of columns; make chunks of rows with rechunk({{1: -1}})")
        delayed = delayed.ravel().tolist()
    return list(delayed)


def _columns(sample: Any) -> list[str] | None:
    names = getattr(sample, "columns", None)
    return None if names is None else [str(name) for name in names]


def _order(names: Sequence[list[str] | None]) -> list[str] | None:
    """The columns of y in the order of those of x, if both have names."""
    of_x, of_y = names
    if of_x is None or of_y is None or of_x == of_y:
        return None
    if sorted(of_x) != sorted(of_y):
        missing = sorted(set(of_x) ^ set(of_y))
        raise ValueError(f"x and y do not have the same columns: {', '.join(map(repr, missing))} is in one alone")
    return of_x


def _prepared(
    part: Any, name: str, order: list[str] | None, divisors: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """A chunk as rows of float64."""
    found = rows(name, part if order is None else part[order])
    if found.white is not None:
        raise TypeError(f"{name} holds whole numbers as brightness; divide it by {found.white:g} first")
    values = found.values
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has missing or infinite values; drop those rows first")
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    return flat if divisors is None else flat / divisors


def _taken(part: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.float64]:
    return part[which]


def _sums(
    plan: dict[str, Any], part: NDArray[np.float64], first: int, still: NDArray[np.uint64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(part) == 0:
        width = 2 * plan["features"]
        return np.zeros((plan["permutations"] + 1, width)), np.zeros(width)
    return _elbo.feature_sums(plan, rows("a part", part), first, np.require(still, requirements=["C", "A"]))


def _added(
    sums: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.add.reduce([chosen for chosen, _ in sums]), np.add.reduce([everything for _, everything in sums])


def _workers(client: Any) -> str:
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    return f"{count} worker" + ("s" if count != 1 else "")


def _trained(parameters: dict[str, Any], X: Any, held_out: Any) -> dict[str, Any]:
    start = time.perf_counter()
    row: dict[str, Any] = dict(parameters)
    try:
        vae = VAE(**parameters).fit(X)
        if held_out is not None:
            row["validation_elbo"] = vae.score(held_out)
    except (ValueError, TypeError, ArithmeticError) as error:
        return {**row, "error": str(error)}
    found = vae.summary_["test"]
    row.update({name: found[name] for name in ("elbo", "sse", "kl")})
    row["active_units"] = int(np.sum(np.asarray(found["kl_by_dimension"]) > 0.01))
    return {**row, "seconds": time.perf_counter() - start}
