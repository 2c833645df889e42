"""The kernel tests. Parameters have the names, the defaults and the numbers of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from . import _elbo
from ._arrays import Rows, Samples, rows
from ._messages import in_python, warn
from ._results import CloserResult, HsicResult, KsdResult, MmdResult, TestResult, Witness

Kernel = Literal["gaussian", "laplace", "imq", "energy", "delta"]
Engine = Literal["auto", "gpu", "cpu"]
#: A number, a rule such as ``"median"`` or ``"0.5*median"``, or several of one kind.
Bandwidth = Union[float, str, Sequence[Union[float, str]]]
Kind = TypeVar("Kind", bound=TestResult)
#: Hears the share of the work that is done, 0 to 1.
Progress = Callable[[float], object]


def mmd_test(
    x: Samples,
    y: Samples,
    *,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    sum: bool = False,
    permutations: int = 999,
    null: Literal["exact", "binned", "wild", "series"] = "exact",
    alpha: float = 0.05,
    aggregate: Literal["agg", "fuse"] | None = None,
    kernels: Sequence[Kernel] = ("gaussian", "laplace"),
    split: bool = False,
    features: int | None = None,
    budget: int | None = None,
    bin: int | None = None,
    block_length: int | None = None,
    sequential: bool = False,
    kid: bool = False,
    divergence: Literal["kl"] | None = None,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> MmdResult:
    """Do two samples come from one distribution? The kernel two-sample test (Gretton et al., JMLR 2012).

    The kernel matrix is never stored. A C-ordered array of float64 is used where it is; it must not be written to while
    this runs, which other threads may: the interpreter's lock is released.

    Args:
        x: The first sample, ``(n, ...)``: an array, a tensor or a table; further axes are one point's.
        y: The second sample, ``(m, ...)``; columns of tables are matched by name.
        kernel: ``gaussian`` exp(-r² / (2 b²)), ``laplace`` exp(-r₁ / b), ``imq`` (1 + r² / b²)^(-1/2), ``energy`` -r,
            ``delta`` 1 for equal points.
        bandwidth: Numbers, or a rule: ``median``, ``mean``, ``median-per-feature``, or multiples such as
            ``["0.5*median", "2*median"]``.
        sum: Add up the kernels of several bandwidths instead of taking their mean.
        permutations: Draws under the null.
        null: How they are made: permutations of points; of bins of points, which takes hardly more work than the estimate;
            random signs, for samples of one size; or blocks of consecutive rows, for time series.
        alpha: Level.
        aggregate: Test with many kernels at once, so that no bandwidth has to be chosen.
        kernels: Those of ``aggregate``, each with all bandwidths: the given ones, or ten between the distances.
        split: Choose the bandwidth with the most power by half of the points, and test with the other half.
        features: Use so many random Fourier features instead of the kernel: an approximation, for millions of points.
        budget: Use only about n R pairs; with ``aggregate`` and ``null="wild"``.
        bin: Points of a bin of the binned null.
        block_length: Rows of a block of the series null.
        sequential: Stop when more permutations cannot change the decision.
        kid: Estimate the kernel inception distance too. For codes of images give ``vae.transform(images)`` of an own
            :class:`elbo.VAE`.
        divergence: ``"kl"``: estimate KL(x || y) in nats by nearest neighbours too, ``kl`` of the result.
        points: Use a random choice of so many points of each sample.
        columns: Use these columns, by name or number.
        missing: Refuse NaN, or drop rows that have any.
        scale: Divide columns by their interquartile ranges, or not. The default is ``robust`` for tables that name several
            columns, unless the bandwidth is a number.
        seed: Of everything random.
        engine: A hardware GPU if there is one, any GPU, or the CPU.
        adapter: Part of a GPU's name.
        progress: Is called with the share that is done.

    Raises:
        ValueError: The samples or parameters do not fit together; the message says what to do.
        RuntimeError: The device failed.

    Example:
        >>> import elbo, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> elbo.mmd_test(rng.normal(size=(200, 3)), rng.normal(0.5, size=(200, 3))).reject
        True
    """
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "sum": sum,
        "permutations": permutations,
        "null": null,
        "alpha": alpha,
        "aggregate": aggregate,
        "kernels": _listed(kernels),
        "split": split,
        "features": features,
        "budget": budget,
        "bin": bin,
        "block_length": block_length,
        "sequential": sequential,
        "kid": kid,
        "divergence": divergence,
        "points": points,
        "seed": seed,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    return _result(MmdResult, _call(_elbo.mmd_test, rows("x", x), rows("y", y), options, progress))


def hsic_test(
    x: Samples,
    y: Samples,
    *,
    kernel: Kernel = "gaussian",
    kernel_y: Kernel | None = None,
    bandwidth: Bandwidth = "median",
    bandwidth_y: Bandwidth | None = None,
    permutations: int = 999,
    null: Literal["exact", "gamma", "wild", "series"] = "exact",
    alpha: float = 0.05,
    aggregate: Literal["agg"] | None = None,
    budget: int | None = None,
    block_length: int | None = None,
    information: bool = False,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> HsicResult:
    """Do two variables, observed together, depend on each other? (HSIC; Gretton et al., NeurIPS 2007)

    With ``kernel="energy"`` the strength is the distance correlation; with ``kernel_y="delta"`` y is labels.

    Args:
        x: The first variable, ``(n, ...)``.
        y: The second, ``(n, ...)``: row i of both is one observation.
        kernel: That of x, and of y if it has none of its own: see :func:`mmd_test`.
        kernel_y: That of y; ``delta`` for labels.
        bandwidth: That of x, and of y if it has none of its own.
        bandwidth_y: That of y.
        permutations: Draws under the null.
        null: How they are made: permutations of one variable; a gamma distribution with the null's first moments; random
            signs of pairs of rows, for many points; or blocks of consecutive rows, for time series.
        alpha: Level.
        aggregate: Test with many bandwidths at once.
        budget: Use only about n R pairs; with ``null="wild"``.
        block_length: Rows of a block of the series null.
        information: Estimate the mutual information in nats by nearest neighbours too, ``mutual_information`` of the result.

    The others are those of :func:`mmd_test`; ``columns`` are those of both variables.
    """
    options = {
        "kernel": kernel,
        "kernel_y": kernel_y,
        "bandwidth": _bandwidth(bandwidth),
        "bandwidth_y": None if bandwidth_y is None else _bandwidth(bandwidth_y),
        "permutations": permutations,
        "null": null,
        "alpha": alpha,
        "aggregate": aggregate,
        "budget": budget,
        "block_length": block_length,
        "information": information,
        "points": points,
        "seed": seed,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    x_rows = _labels("x", x) if kernel == "delta" else rows("x", x)
    y_rows = _labels("y", y) if (kernel_y or kernel) == "delta" else rows("y", y)
    return _result(HsicResult, _call(_elbo.hsic_test, x_rows, y_rows, options, progress))


#: A model: its JSON as a dictionary, ``"gaussian:2"`` for a mixture of two Gaussians fitted to the sample, scores
#: ``(n, d)`` at the points of the sample, or a function that gives them.
Model = Union[dict[str, Any], str, NDArray[np.floating[Any]], Callable[[NDArray[np.float64]], Any]]


def ksd_test(
    x: Samples,
    model: Model,
    *,
    against: Model | None = None,
    kernel: Literal["gaussian", "imq"] = "gaussian",
    bandwidth: Bandwidth = "median",
    permutations: int = 999,
    null: Literal["wild", "parametric"] = "wild",
    alpha: float = 0.05,
    aggregate: Literal["agg"] | None = None,
    split: bool = False,
    budget: int | None = None,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> KsdResult:
    """Does a sample come from a model? (kernel Stein discrepancy; Liu et al., Chwialkowski et al., ICML 2016)

    Args:
        x: The sample, ``(n, d)``.
        model: One of a known family, ``{"family": "gaussian", "mean": [0, 0], "covariance": [1, 1]}``; ``"gaussian:K"``,
            a mixture fitted to x, which needs ``null="parametric"`` for an exact level; the scores ∇ ln p, ``(n, d)``, at
            x; or a function from points ``(n, d)`` to scores ``(n, d)``.
        against: Another model: which of the two fits better? See ``against`` and ``relative`` of the result.
        kernel: A smooth one.
        bandwidth: As in :func:`mmd_test`.
        permutations: Draws under the null.
        null: Random signs, or samples of the model, fitted again if it was fitted.
        alpha: Level.
        aggregate: Test with many bandwidths at once.
        split: Choose the bandwidth with the most power by half of the points, and test with the other half.
        budget: Use only about n R pairs.

    The others are those of :func:`mmd_test`.

    Example:
        >>> x = np.random.default_rng(0).standard_t(df=3, size=(500, 1))
        >>> elbo.ksd_test(x, lambda x: -x).reject  # the score of N(0, 1)
        True
    """
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "permutations": permutations,
        "null": null,
        "alpha": alpha,
        "aggregate": aggregate,
        "split": split,
        "budget": budget,
        "points": points,
        "seed": seed,
        **_reading(columns, missing, None),
        **_device(engine, adapter),
    }
    models = [_model(model)] if against is None else [_model(model), _model(against)]
    if len(models) == 2 and models[0][0] == models[1][0]:
        models = [("model", models[0][1]), ("against", models[1][1])]
    found, relative, notes = _call(_elbo.ksd_test, rows("x", x), models, options, progress)
    said = warn(notes, stacklevel=2)
    first, *others = [_with_warnings(KsdResult, fields, draws, said, stacklevel=3) for fields, draws in found]
    if against is not None:
        first.against, first.relative = others[0], relative
        first._fields.update(against=others[0].to_dict(), relative=relative)
    return first


def closer_test(
    real: Samples,
    a: Samples,
    b: Samples,
    *,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    alpha: float = 0.05,
    kid: bool = False,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> CloserResult:
    """Which of two samples is closer to a real one? The relative test (Bounliphone et al., ICLR 2016).

    Args:
        real: The real sample.
        a: A sample that may be closer.
        b: The other.

    The others are those of :func:`mmd_test`.
    """
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "alpha": alpha,
        "kid": kid,
        "points": points,
        "seed": seed,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    samples = [rows("real", real), rows("a", a), rows("b", b)]
    return _result(CloserResult, _call(_elbo.closer_test, *samples, options, progress))


def witness(
    x: Samples,
    y: Samples,
    at: Samples | None = None,
    *,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    sum: bool = False,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> Witness:
    """Where do two samples differ? The witness function, mean k(x, .) - mean k(y, .), at their points, and at others.

    Args:
        x: The first sample, ``(n, ...)``.
        y: The second sample, ``(m, ...)``.
        at: Points, ``(k, ...)``, to evaluate the function at.

    The others are those of :func:`mmd_test`.
    """
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "sum": sum,
        "seed": seed,
        "points": points,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    places = None if at is None else rows("at", at)
    fields, values, notes = _call(_elbo.witness, rows("x", x), rows("y", y), places, options, progress)
    warn(notes, stacklevel=2)
    return Witness(fields, values)


def mmd2(
    x: Samples,
    y: Samples,
    *,
    kernel: Kernel = "gaussian",
    bandwidth: Bandwidth = "median",
    sum: bool = False,
    unbiased: bool = True,
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
) -> float:
    """The squared maximum mean discrepancy of two samples, without a test.

    Args:
        unbiased: The unbiased estimate, which scatters around 0 without a difference, or the biased one, the mean over all
            pairs.

    The others are those of :func:`mmd_test`.
    """
    options = {
        "kernel": kernel,
        "bandwidth": _bandwidth(bandwidth),
        "sum": sum,
        "seed": seed,
        "points": points,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    estimates, notes = _call(_elbo.mmd2, rows("x", x), rows("y", y), options)
    warn(notes, stacklevel=2)
    return float(estimates[0 if unbiased else 1])


def median_bandwidth(
    x: Samples,
    y: Samples | None = None,
    *,
    kernel: Kernel = "gaussian",
    points: int | None = None,
    columns: Sequence[str | int] | None = None,
    missing: Literal["refuse", "drop"] = "refuse",
    scale: Literal["robust", "none"] | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
) -> float:
    """The median distance over all pairs of different points, of a seeded choice of 4,096 where there are more.

    Args:
        x: A sample, ``(n, ...)``.
        y: Another, whose points are added.
        kernel: ``laplace`` takes the distance of city blocks, |x - z|₁; the others |x - z|₂.

    The others are those of :func:`mmd_test`.
    """
    options = {
        "kernel": kernel,
        "bandwidth": "median",
        "sum": False,
        "points": points,
        "seed": seed,
        **_reading(columns, missing, scale),
        **_device(engine, adapter),
    }
    second = None if y is None else rows("y", y)
    value, notes = _call(_elbo.median_bandwidth, rows("x", x), second, options)
    warn(notes, stacklevel=2)
    return float(value)


def power(
    problem: str,
    parameters: Sequence[float] | None = None,
    *,
    test: str | None = None,
    n: int = 500,
    m: int | None = None,
    repetitions: int = 100,
    permutations: int = 199,
    alpha: float = 0.05,
    kernel: Kernel | Sequence[Kernel] | None = None,
    bandwidth: Bandwidth | None = None,
    data: str | None = None,
    seed: int = 0,
    engine: Engine = "auto",
    adapter: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """How often does a test find what is there? Its power on a standard problem, ``elbo power --help`` lists them.

    Args:
        problem: Such as ``"blobs"``, ``"perturbed-uniform"``, ``"rotated-ica"``.
        parameters: Values of the problem's parameter; its own if none are given.
        test: ``mmd``, ``agg``, ``fuse``, ``hsic``, ``hsic-agg``, ``ksd``, ``ksd-agg``; one that suits the problem if none
            is given.
        n: Points of x.
        m: Points of y; as many if not given.
        repetitions: For each parameter.
        permutations: Draws under the null.
        data: A directory with MNIST's files, for problems that are made of digits.

    Returns:
        A dictionary for each parameter: ``parameter``, ``rejection_rate``, ``standard_error``, ``rejections``,
        ``repetitions``, ``seconds``.
    """
    options = {
        "problem": problem,
        "parameters": None if parameters is None else [float(parameter) for parameter in parameters],
        "test": test,
        "n": n,
        "m": m,
        "repetitions": repetitions,
        "permutations": permutations,
        "alpha": alpha,
        "kernels": _listed(kernel),
        "bandwidth": None if bandwidth is None else _bandwidth(bandwidth),
        "data": data,
        "seed": seed,
        **_device(engine, adapter),
    }
    rates, notes = _call(_elbo.power, options, progress)
    warn(notes, stacklevel=2)
    return list(rates)


def _bandwidth(bandwidth: Bandwidth) -> str:
    """As the command line has it."""
    if isinstance(bandwidth, str):
        return bandwidth
    if isinstance(bandwidth, Sequence) or (isinstance(bandwidth, np.ndarray) and bandwidth.ndim > 0):
        return ",".join(_bandwidth(each) for each in bandwidth)
    return repr(float(bandwidth))


def _reading(
    columns: Sequence[str | int] | None, missing: str, scale: str | None
) -> dict[str, list[str] | str | None]:
    return {
        "columns": [str(column) for column in _listed(columns)],
        "missing": missing,
        "scale": scale,
    }


def _listed(values: Any) -> list[Any]:
    """Several values, or one, or none."""
    if values is None:
        return []
    return [values] if isinstance(values, (str, int, np.integer)) else list(values)


def _device(engine: Engine, adapter: str | None) -> dict[str, str | None]:
    return {"engine": engine, "adapter": adapter}


def _labels(name: str, labels: Samples) -> Rows:
    """Labels of any kind, as numbers: the same for the same label."""
    array = np.asarray(labels)
    if array.dtype.kind in "buif":
        return rows(name, labels)
    missing = np.array([label is None or label != label for label in array.ravel().tolist()])
    if missing.any():
        raise ValueError(f"{name} has {missing.sum()} missing labels; give them a class, or leave out their rows")
    return rows(name, np.unique(array.astype(str), return_inverse=True)[1])


def _model(model: Model) -> tuple[str, Any]:
    """A model with its name."""
    if callable(model):
        function = model
        name = getattr(function, "__name__", "scores")
        return name if name.isidentifier() else "scores", lambda points: _scores(function(points))
    if isinstance(model, str):
        return model, model
    if isinstance(model, dict):
        return str(model.get("family", "model")), json.dumps(model, default=_plain)
    return "scores", _scores(model)


def _scores(scores: Any) -> NDArray[np.float64]:
    return rows("the scores", scores).values


def _plain(value: Any) -> Any:
    """A number or an array of NumPy as plain objects of Python."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} is no number")


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    plain = [
        {name: _plain(value) if isinstance(value, np.generic) else value for name, value in argument.items()}
        if isinstance(argument, dict)
        else argument
        for argument in arguments
    ]
    try:
        return function(*plain)
    except (ValueError, RuntimeError, OSError, ArithmeticError) as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # Of a function of the caller's.
        raise type(error)(in_python(_with_option(str(error), plain))) from None


def _with_option(sentence: str, arguments: list[Any]) -> str:
    """Names the parameter of a value that is of no known kind."""
    if not sentence.startswith(("unknown variant", "invalid ")):
        return sentence
    options = {name: value for each in arguments if isinstance(each, dict) for name, value in each.items()}
    for name, value in options.items():
        if any(f"{quote}{value}{quote}" in sentence for quote in "`\""):
            return f"{name}={value!r}: {sentence}"
    return sentence


def _with_warnings(
    kind: type[Kind], fields: dict[str, Any], draws: NDArray[np.float64], said: list[str], stacklevel: int
) -> Kind:
    own = warn(fields["warnings"], stacklevel=stacklevel)
    return kind({**fields, "warnings": [*said, *own]}, draws)


def _result(kind: type[Kind], found: tuple[dict[str, Any], NDArray[np.float64], list[str]]) -> Kind:
    fields, draws, notes = found
    said = warn(notes, stacklevel=3)
    return _with_warnings(kind, fields, draws, said, stacklevel=4)
