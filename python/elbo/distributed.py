"""Tests of samples that are larger than a machine, and many models at once, on a cluster of Dask.

Samples are ``dask.array`` or ``dask.dataframe`` objects. Their rows stay on the workers; what comes here is a few thousand of
them, which the bandwidth is found with, and sums. Chunks are made three times (to be counted, for these rows, for the sums);
``persist()`` those that take long to make.

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
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _elbo
from ._arrays import rows
from ._messages import warn
from ._results import HsicResult, KsdResult, MmdResult
from ._tests import Bandwidth, Engine, Kernel, _bandwidth, _call, _device, _model
from ._vae import VAE

#: Parts whose sums one task adds up.
_TOGETHER = 8

#: Draws whose way through all rows one task follows.
_DRAWS = 16

#: Most items of a part, rows or pairs of rows, of which all pairs with another one's are a task.
_PART = 32_768

#: Tasks on their way at a time, for each thread of a worker.
_IN_FLIGHT = 3

#: Seconds of work that is not done unless that is asked for.
_LONGEST = 3600.0


def mmd_test(
    x: Any,
    y: Any,
    client: Any = None,
    *,
    features: int | None = 100,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    sum: bool = False,
    permutations: int = 199,
    null: Literal["exact", "binned"] = "exact",
    bin: int | None = None,
    alpha: float = 0.05,
    divisors: Any = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    force: bool = False,
    progress: Callable[[float], object] | None = None,
) -> MmdResult:
    """Do two samples come from one distribution? The two-sample test, with random features or over all pairs.

    The result is that of ``elbo.mmd_test(x, y, features=..., permutations=...)`` of the same arrays: the same rows find the
    bandwidth, the same draws are made, and sums differ by their rounding, with features in float64 and over pairs in float32.
    A worker that dies takes nothing with it: Dask makes its parts again.

    With random features the work grows with the rows, and each chunk is seen once. Over all pairs (``features=None``) it grows
    with their square: rows are dealt into parts, every two parts are a task on some worker's engine, and in the course of the
    test a worker holds about all rows once. Linear-time estimates are then missing.

    Args:
        x: The first sample: a ``dask.array`` ``(n, ...)``, or a ``dask.dataframe`` of numbers.
        y: The second; columns of tables are matched by name.
        client: A ``dask.distributed.Client``; the current one if none is given.
        features: Random Fourier features; each kernel value has a standard error of at most about ``0.7 / sqrt(features)``.
            ``None``: the kernel itself, of all pairs.
        null: Of all pairs: permutations of points (``"exact"``), or of bins of points (``"binned"``), which cost nothing beside
            the pairs.
        bin: Points of a bin, instead of a number that makes about 512 bins.
        divisors: What columns are divided by, one number or one for each, such as their interquartile ranges: a rule that
            needs all rows is the caller's.
        force: Take all pairs even if that takes more than an hour, by a measurement on one worker.
        progress: Called with the fraction of all pairs that is done.

    The others are those of :func:`elbo.mmd_test`.
    """
    start = time.perf_counter()
    client = _client(client)
    names = [_columns(sample) for sample in (x, y)]
    order = _order(names)
    _warn_of_scale("elbo.mmd_test", {"divisors": (names[0], divisors)})
    rows_of = _Rows(client, [_Sample("x", x, None, divisors), _Sample("y", y, order, divisors)])
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "sum": sum,
        "permutations": permutations,
        "null": null,
        "bin": bin,
        "alpha": alpha,
        "seed": seed,
        **_device(engine, adapter),
    }
    if features is None:
        found = _of_pairs(client, rows_of, options, force, progress)
    elif null != "exact" or bin is not None:
        raise ValueError("random features have no bins; leave out `null` and `bin`, or take all pairs by features=None")
    else:
        found = _of_features(client, rows_of, {**options, "features": features})
    return MmdResult(*_finished(client, found, start))


def hsic_test(
    x: Any,
    y: Any,
    client: Any = None,
    *,
    kernel: Kernel = "gaussian",
    kernel_y: Kernel | None = None,
    bandwidth: Bandwidth = "median",
    bandwidth_y: Bandwidth | None = None,
    permutations: int = 199,
    alpha: float = 0.05,
    divisors: Any = None,
    divisors_y: Any = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    force: bool = False,
    progress: Callable[[float], object] | None = None,
) -> HsicResult:
    """Do two variables, observed together, depend on each other? The test with random signs of pairs of rows.

    The result is that of ``elbo.hsic_test(x, y, null="wild", permutations=...)`` of the same arrays, but for the estimates
    from all pairs of rows (HSIC, CKA, distance correlation), which are left out: half of the rows are paired with the other
    half, and all pairs of these pairs are taken, an eighth of all.

    Args:
        x: The first variable: a ``dask.array`` ``(n, ...)``, or a ``dask.dataframe`` of numbers.
        y: The second, with as many rows, in chunks of its own: row i of both is one observation. Labels for
            ``kernel_y="delta"`` are numbers.
        kernel: That of x, and of y if it has none of its own.
        kernel_y: That of y.
        bandwidth: That of x, and of y if it has none of its own.
        bandwidth_y: That of y.
        divisors: What columns of x are divided by; ``divisors_y``: those of y.

    The others are those of :func:`mmd_test`.
    """
    start = time.perf_counter()
    client = _client(client)
    labels = [family == "delta" for family in (kernel, kernel_y or kernel)]
    given = {"divisors": (_columns(x), divisors), "divisors_y": (_columns(y), divisors_y)}
    _warn_of_scale("elbo.hsic_test", {name: each for (name, each), label in zip(given.items(), labels) if not label})
    samples = [_Sample("x", x, None, divisors, labels[0]), _Sample("y", y, None, divisors_y, labels[1])]
    of_x, of_y = variables = [_Rows(client, [sample]) for sample in samples]
    n = of_x.total
    if of_y.total != n:
        raise ValueError(f"x has {n} rows and y has {of_y.total}; row i of both must be one observation")
    options = {
        "kernel": kernel,
        "kernel_y": kernel_y,
        "bandwidth": _bandwidth(bandwidth),
        "bandwidth_y": None if bandwidth_y is None else _bandwidth(bandwidth_y),
        "permutations": permutations,
        "alpha": alpha,
        "seed": seed,
        **_device(engine, adapter),
    }
    wanted = _elbo.rows_of_rules(n, seed)
    few = [variable.some(wanted) for variable in variables]
    plan = _call(_elbo.independence_plan, *(rows(name, each) for name, each in zip("xy", few)), n, options)
    order = _elbo.order_of_items(n, seed)
    halves = order[: n // 2], order[n // 2 : n // 2 * 2]

    def groups(which: int, first: int, last: int) -> list[_Group]:
        return [(variable, half[first:last]) for variable in variables for half in halves]

    middle = len(few[0]) // 2
    items = np.hstack([half for each in few for half in (each[:middle], each[middle : 2 * middle])])
    found = _of_tiles(client, plan, groups, items, options, force, progress)
    return HsicResult(*_finished(client, found, start))


def ksd_test(
    x: Any,
    model: Any,
    client: Any = None,
    *,
    kernel: Literal["gaussian", "imq"] = "gaussian",
    bandwidth: Bandwidth = "median",
    permutations: int = 199,
    alpha: float = 0.05,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    force: bool = False,
    progress: Callable[[float], object] | None = None,
) -> KsdResult:
    """Does a sample come from a model? The test by the kernel Stein discrepancy, with random signs.

    The result is that of ``elbo.ksd_test(x, model, permutations=...)`` of the same arrays.

    Args:
        x: The sample: a ``dask.array`` ``(n, d)``, or a ``dask.dataframe`` of numbers.
        model: One of a known family, ``{"family": "gaussian", "mean": [0, 0], "covariance": [1, 1]}``; a function from points
            ``(n, d)`` to scores ``(n, d)``, which is called on the workers, chunk by chunk; or the scores at x as a
            ``dask.array`` ``(n, d)``.

    The others are those of :func:`mmd_test`.
    """
    start = time.perf_counter()
    client = _client(client)
    if isinstance(model, str):
        raise ValueError(f"{model} would be fitted to all rows, which are in many places; give a model, or its scores")
    sample = _Sample("x", x, None, None)
    if hasattr(model, "to_delayed"):
        name, parts = "scores", [_Rows(client, [each]) for each in (sample, _Sample("the scores", model, None, None))]
        if parts[0].total != parts[1].total:
            raise ValueError(f"x has {parts[0].total} rows, but there are scores of {parts[1].total}; give one of each row")
    else:
        name, scores = _model(model)
        if isinstance(scores, np.ndarray):
            raise TypeError("scores of all rows are in many places; give them as a dask.array, or a function from points to scores")
        parts = [_Rows(client, [sample], lambda chunk: _scored(chunk, scores))]
    n = parts[0].total
    wanted = _elbo.rows_of_rules(n, seed)
    few = np.hstack([part.some(wanted) for part in parts])
    if few.shape[1] % 2 != 0 or (len(parts) == 2 and parts[0].some(wanted[:1]).shape[1] * 2 != few.shape[1]):
        raise ValueError("x and the scores do not have as many columns; give the gradient of ln p at each point")
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "permutations": permutations,
        "alpha": alpha,
        "seed": seed,
        **_device(engine, adapter),
    }
    plan = _call(_elbo.fit_plan, rows("x", few[:, : few.shape[1] // 2]), n, name, options)

    def groups(which: int, first: int, last: int) -> list[_Group]:
        return [(part, np.arange(first, last)) for part in parts]

    found = _of_tiles(client, plan, groups, few, options, force, progress)
    return KsdResult(*_finished(client, found, start))


class _Sample(NamedTuple):
    """What a caller gives."""

    name: str
    values: Any
    #: Its columns in the order in which they are wanted, if not their own.
    order: list[str] | None
    divisors: Any
    #: Whether its numbers are only equal or not.
    labels: bool = False


class _Rows:
    """Rows of some samples, one after another, in chunks on the workers."""

    def __init__(self, client: Any, samples: Sequence[_Sample], then: Callable[[Any], Any] | None = None) -> None:
        from dask.delayed import delayed

        self.client = client
        self.chunks = []
        of_samples = []
        for name, values, order, divisors, labels in samples:
            parts = _parts(values, name)
            divisors = None if divisors is None else np.asarray(divisors, dtype=np.float64)
            chunks = [delayed(_prepared)(part, name, order, divisors, labels) for part in parts]
            self.chunks += chunks if then is None else [delayed(then)(chunk) for chunk in chunks]
            of_samples += [len(parts)]
        lengths = client.gather(client.compute([delayed(len)(chunk) for chunk in self.chunks]))
        #: Where chunks begin, and where the last one ends.
        self.edges = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
        #: Rows of each sample.
        self.counts = [int(rows) for rows in np.diff(self.edges[np.concatenate([[0], np.cumsum(of_samples)])])]
        self.total = int(self.edges[-1])

    def some(self, wanted: NDArray[Any]) -> NDArray[np.float64]:
        """Some rows, in their order, brought here."""
        from dask.delayed import delayed

        pieces = [(delayed(_taken)(self.chunks[i], rows), places) for i, rows, places in self.pieces(wanted)]
        return _joined([places for _, places in pieces], *self.client.gather(self.client.compute([p for p, _ in pieces])))

    def pieces(self, wanted: NDArray[Any]) -> list[tuple[int, NDArray[Any], NDArray[Any]]]:
        """The chunks that hold some rows: their number, which of their rows, and where these are among the wanted ones."""
        wanted = wanted.astype(np.int64)
        chunk = np.searchsorted(self.edges, wanted, side="right") - 1
        found = [(int(i), np.flatnonzero(chunk == i)) for i in np.unique(chunk)]
        return [(i, wanted[places] - self.edges[i], places) for i, places in found]

    def keep(self) -> None:
        """Makes the chunks, once, to be taken from again and again."""
        self.chunks = self.client.compute(self.chunks)


#: Rows that are wanted, in an order.
_Group = tuple[_Rows, NDArray[Any]]

#: The fields of a result, its null distribution, and sentences.
_Found = tuple[dict[str, Any], Any, list[str]]


def _finished(client: Any, found: _Found, start: float) -> tuple[dict[str, Any], Any]:
    fields, null, notes = found
    fields.update(seconds=time.perf_counter() - start, engine="dask", adapter=_workers(client))
    warn([*notes, *fields["warnings"]], stacklevel=3)
    return fields, null


def _warn_of_scale(test: str, given: dict[str, tuple[list[str] | None, Any]]) -> None:
    """If named columns are not divided by anything, as on one machine they are."""
    for name, (columns, divisors) in given.items():
        if divisors is None and columns is not None and len(columns) > 1:
            sentence = f"columns are compared as they are, where {test} divides each by its interquartile range; give `{name}`"
            warn([sentence], stacklevel=3)


def _of_features(client: Any, samples: _Rows, options: dict[str, Any]) -> _Found:
    from dask.delayed import delayed

    edges = samples.edges
    few = samples.some(_elbo.rows_of_rules(samples.total, options["seed"]))
    plan = _call(_elbo.feature_plan, rows("x and y", few), samples.counts, options)
    draws = options["permutations"] + 1
    begins = [int(edge) for edge in edges[:-1]]
    groups = [(first, min(first + _DRAWS, draws)) for first in range(0, draws, _DRAWS)]
    walks = [client.submit(_elbo.still_to_choose, plan, begins, group, pure=False) for group in groups]
    still = np.concatenate(client.gather(walks), axis=1)
    sums = [delayed(_sums)(plan, chunk, begin, still[i]) for i, (chunk, begin) in enumerate(zip(samples.chunks, begins))]
    while len(sums) > 1:
        sums = [delayed(_added)(sums[i : i + _TOGETHER]) for i in range(0, len(sums), _TOGETHER)]
    chosen, everything = client.compute(sums[0]).result()
    chosen, everything = (np.require(each, requirements=["C", "A"]) for each in (chosen, everything))
    fields, null, notes = _call(_elbo.feature_result, plan, chosen, everything)
    return fields, null, notes


def _of_pairs(
    client: Any, samples: _Rows, options: dict[str, Any], force: bool, progress: Callable[[float], object] | None
) -> _Found:
    bin, *orders, notes = _call(_elbo.tile_order, samples.counts, options)
    # Rows of y are counted after those of x.
    orders = [orders[0].astype(np.int64), orders[1].astype(np.int64) + samples.counts[0]]
    wanted = np.concatenate(orders)
    few = samples.some(wanted[_elbo.rows_of_rules(len(wanted), options["seed"])])
    plan = _call(_elbo.tile_plan, rows("x and y", few), [len(order) for order in orders], bin, options)

    def groups(which: int, first: int, last: int) -> list[_Group]:
        return [(samples, orders[which][first:last])]

    fields, null, more = _of_tiles(client, plan, groups, few, options, force, progress)
    fields["warnings"] = [*notes, *fields["warnings"]]
    return fields, null, more


def _of_tiles(
    client: Any,
    plan: dict[str, Any],
    groups: Callable[[int, int, int], list[_Group]],
    few: NDArray[np.float64],
    options: dict[str, Any],
    force: bool,
    progress: Callable[[float], object] | None,
) -> _Found:
    """The result of a plan. ``groups`` says which rows lie side by side in some items of a sample; ``few`` are some items."""
    from dask.delayed import delayed

    place = {"engine": options["engine"], "adapter": options["adapter"]}
    if not force:
        _check_time(client, plan, few, place)
    sums = _elbo.TileSums(plan)
    bin = plan["bin"] or 1
    size = max(_PART // bin, 1) * bin
    # Chunks are kept while parts are made of them.
    kept: list[_Rows] = []
    places, parts = [], []
    for which, count in enumerate(plan["counts"]):
        for first in range(0, count, size):
            last = min(first + size, count)
            where, taken = [], []
            for rows_of, wanted in groups(which, first, last):
                if all(rows_of is not each for each in kept):
                    rows_of.keep()
                    kept.append(rows_of)
                pieces = rows_of.pieces(wanted)
                taken += [delayed(_taken)(rows_of.chunks[i], which_rows) for i, which_rows, _ in pieces]
                where.append([at for _, _, at in pieces])
            parts.append(delayed(_part)(where, sums.labels(which, first, last), *taken))
            places.append((which, first))
    parts = client.compute(parts)
    for rows_of in kept:
        rows_of.chunks = []
    tiles = [(i, j) for i in range(len(parts)) for j in range(i, len(parts))]
    total, done = len(tiles), 0
    waiting: deque[tuple[int, int, Any]] = deque()
    window = _IN_FLIGHT * _threads(client)
    # Added up in one order, whichever ends first: the same numbers again.
    while tiles or waiting:
        while tiles and len(waiting) < window:
            i, j = tiles.pop(0)
            other = None if i == j else parts[j]
            future = client.submit(_tile, plan, parts[i], places[i], other, places[j], place, pure=False)
            waiting.append((i, j, future))
        i, j, future = waiting.popleft()
        counts, *arrays, totals = future.result()
        # What comes over the network may lie anywhere.
        arrays = [np.require(array, requirements=["C", "A"]) for array in arrays]
        _call(sums.add, places[i], None if i == j else places[j], (counts, *arrays, totals))
        done += 1
        if progress is not None:
            progress(done / total)
    fields, null, notes = _call(sums.result)
    return fields, null, notes


def _check_time(client: Any, plan: dict[str, Any], few: NDArray[np.float64], place: dict[str, Any]) -> None:
    """Refuses work of hours, by that of a few items on one worker, which may use all cores of its machine."""
    total = float(np.sum(plan["counts"]))
    if total <= len(few):
        return
    seconds, timed = client.submit(_timed, plan, few, place, pure=False).result()
    machines = len({worker["host"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()})
    expected = seconds * (total / timed) ** 2 / machines
    if expected > _LONGEST:
        instead = "force=True"
        if "TwoSample" in plan["question"]:
            instead = ("features=100, or " if plan["bin"] else 'features=100 or null="binned", or ') + instead
        what = "pairs of rows" if "Independence" in plan["question"] else "rows"
        raise ValueError(
            f"all pairs of {total:.3g} {what} take about {expected / 3600:.1f} hours on {_workers(client)}; use {instead}"
        )


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
    part: Any, name: str, order: list[str] | None, divisors: NDArray[np.float64] | None, labels: bool
) -> NDArray[np.float64]:
    """A chunk as rows of float64."""
    found = rows(name, part if order is None else part[order])
    if found.white is not None and not labels:
        raise TypeError(f"{name} holds whole numbers as brightness; divide it by {found.white:g} first")
    values = found.values
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has missing or infinite values; drop those rows first")
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    return flat if divisors is None else flat / divisors


def _scored(chunk: NDArray[np.float64], model: Any) -> NDArray[np.float64]:
    """Points with the scores of a model, side by side."""
    if len(chunk) == 0:
        return np.empty((0, 2 * chunk.shape[1]))
    if isinstance(model, str):
        return np.asarray(_call(_elbo.scored, rows("x", chunk), model))
    scores = np.asarray(model(chunk))
    if scores.shape != chunk.shape:
        raise ValueError(f"the scores have shape {scores.shape}, but those of points {chunk.shape} are expected")
    if not np.isfinite(scores).all():
        raise ValueError("some scores are not finite; give a model that all points may come from")
    return np.hstack([chunk, scores])


def _joined(places: list[NDArray[Any]], *pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows that were taken from several chunks, in the order in which they are wanted."""
    result = np.empty((int(np.sum([len(each) for each in places])), pieces[0].shape[1]))
    for each, piece in zip(places, pieces):
        result[each] = piece
    return result


def _part(
    groups: list[list[NDArray[Any]]], labels: NDArray[np.uint32], *pieces: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    """Items, whose numbers are those of several groups of rows side by side, with their labels."""
    left = iter(pieces)
    columns = [_joined(places, *itertools.islice(left, len(places))) for places in groups]
    return columns[0] if len(columns) == 1 else np.hstack(columns), labels


def _tile(
    plan: dict[str, Any],
    part: tuple[NDArray[np.float64], NDArray[np.uint32]],
    at: tuple[int, int],
    other: tuple[NDArray[np.float64], NDArray[np.uint32]] | None,
    other_at: tuple[int, int],
    place: dict[str, Any],
) -> Any:
    def placed(part: tuple[NDArray[np.float64], NDArray[np.uint32]], at: tuple[int, int]) -> Any:
        values, labels = part
        return rows("a part", values), *at, np.require(labels, requirements=["C", "A"])

    return _elbo.tile(plan, placed(part, at), None if other is None else placed(other, other_at), place)


def _timed(plan: dict[str, Any], few: NDArray[np.float64], place: dict[str, Any]) -> tuple[float, int]:
    """Seconds of all pairs of a few items, the better of two, and how many they were."""
    # A bin may be larger than these.
    bin = min(plan["bin"], max(len(few) // 8, 1)) if plan["bin"] else 1
    values = few[: len(few) // bin * bin]
    words = 0 if plan["bin"] else -(-len(values) // 32) * (plan["permutations"] + 1)
    part = values, np.zeros(words, np.uint32)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        _tile({**plan, "bin": bin if plan["bin"] else None}, part, (0, 0), None, (0, 0), place)
        times.append(time.perf_counter() - start)
    return min(times), len(values)


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


def _threads(client: Any) -> int:
    return int(np.sum([worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]))


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
