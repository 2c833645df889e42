"""Results of the tests: named fields, a text, a table for notebooks, and a picture."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


class TestResult:
    """The result of a test. Its fields are those of the test itself in the command line's ``--json``.

    It unpacks as the results of ``scipy.stats`` do: ``statistic, p_value = elbo.mmd_test(x, y)``.
    """

    __test__: ClassVar[bool] = False  # No test of pytest's.
    _title: ClassVar[str] = ""
    _rejected: ClassVar[str] = ""
    _accepted: ClassVar[str] = ""

    #: What the draws are compared with.
    statistic: float
    #: ``(1 + exceedances) / (1 + permutations)``: never 0.
    p_value: float
    #: Monte-Carlo standard error of the p-value.
    p_standard_error: float
    #: The least p-value that the test can find.
    least_p_value: float
    #: Draws at least as extreme as the statistic.
    exceedances: int
    #: Draws under the null; ``None`` where a distribution function takes their place.
    permutations: int | None
    #: How the draws were made.
    null: str
    #: Level of the test.
    alpha: float
    #: Whether the p-value is at most the level.
    reject: bool
    #: Seconds that the test took.
    seconds: float
    #: What a reader should know, each sentence a warning as well.
    warnings: list[str]
    #: ``"gpu"`` or ``"cpu"``, and on what.
    engine: str
    adapter: str
    #: The statistic under the null, one number per draw: ``(permutations,)``.
    null_distribution: NDArray[np.float64]

    def __init__(self, fields: dict[str, Any], null_distribution: NDArray[np.float64]) -> None:
        self.__dict__.update(fields)
        self.null_distribution = null_distribution
        self._fields = dict(fields)

    @property
    def pvalue(self) -> float:
        """:attr:`p_value`, as ``scipy.stats`` calls it."""
        return self.p_value

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain objects of Python, without the null distribution."""
        return dict(self._fields)

    def __iter__(self) -> Iterator[float]:
        return iter((self.statistic, self.p_value))

    def _lines(self) -> list[tuple[str, str]]:
        """What is special to a test."""
        return []

    def _decision(self) -> str:
        if self.reject:
            return f"{self._rejected} (p <= {self.alpha:g})"
        return f"{self._accepted} (p > {self.alpha:g}); this does not prove that there is none"

    def _p_text(self) -> str:
        if self.permutations is None:
            return f"{_number(self.p_value)}, by a {self.null} distribution"
        return (
            f"{_number(self.p_value)} ± {_number(self.p_standard_error)}: {self.exceedances} of {self.permutations} "
            f"draws ({self.null}) reach the statistic"
        )

    def _all_lines(self) -> list[tuple[str, str]]:
        ends = [("p-value", self._p_text()), ("decision", self._decision())]
        return [*self._lines(), *ends, *(("warning", sentence) for sentence in self.warnings)]

    def __repr__(self) -> str:
        return "\n".join([self._title, *(f"  {name:<10} {text}" for name, text in self._all_lines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._all_lines()
        )
        return f"<table><caption>{html.escape(self._title)}</caption>{rows}</table>"

    def plot(self, ax: Any = None) -> Any:
        """Draws the null distribution and the statistic, through matplotlib, and gives the axes.

        Args:
            ax: Axes to draw on; new ones if none are given.
        """
        if len(self.null_distribution) == 0:
            raise ValueError(f"this result has no draws to plot: its p-value comes from a {self.null} distribution")
        axes: Any = ax
        if axes is None:
            import matplotlib.pyplot as plt

            axes = plt.subplots()[1]
        draws = self.null_distribution
        axes.hist(draws, bins=max(10, round(len(draws) ** 0.5)), color="0.75", label="under the null")
        axes.axvline(self.statistic, color="C3", label="observed")
        threshold = np.quantile(draws, 1 - self.alpha, method="higher")
        axes.axvline(threshold, color="0.4", linestyle="--", label=f"level {self.alpha:g}")
        axes.set(xlabel="statistic", ylabel="draws", title=f"{self._title}: p = {_number(self.p_value)}")
        axes.legend()
        return axes


def _number(value: float) -> str:
    return f"{value:.1e}" if 0.0 < value < 1e-4 else f"{value:.4f}"


def _kernel(fields: Any) -> str:
    """A kernel with its bandwidths, from a result or a part of one."""
    parts: dict[str, Any] = fields if isinstance(fields, dict) else vars(fields)
    family = str(parts["kernel"])
    if family in ("energy", "delta"):
        return family
    values = ", ".join(f"{bandwidth:.4g}" for bandwidth in parts["bandwidths"])
    return f"{family}, bandwidth {values} ({parts['bandwidth_rule']})"


def _nats(information: dict[str, Any]) -> str:
    error = information.get("standard_error")
    return f"{information['nats']:.3f}" + ("" if error is None else f" ± {error:.3f}") + " nats"


def _table(kernels: list[dict[str, Any]]) -> tuple[str, str]:
    """How many kernels of an aggregated test see something."""
    rejecting = sum(bool(kernel.get("reject")) for kernel in kernels)
    return "kernels", f"{len(kernels)}, of which {rejecting} reject in the combined test"


class MmdResult(TestResult):
    """The result of :func:`elbo.mmd_test`."""

    _title = "Two-sample test (MMD)"
    _rejected = "the samples differ"
    _accepted = "no difference was found"

    #: Points of x and of y, and their coordinates.
    n: int
    m: int
    d: int
    #: Unbiased estimate of MMD², which scatters around 0 if there is no difference. Not in aggregated tests.
    mmd2_unbiased: float | None = None
    #: Biased estimate, the mean over all pairs: never negative.
    mmd2_biased: float | None = None
    #: Confidence interval of MMD² at level ``1 - alpha``.
    confidence_interval: list[float] | None = None
    #: Family of the kernel, or the kernels of an aggregated test, each with its own p-value.
    kernel: str | None = None
    bandwidths: list[float] | None = None
    bandwidth_rule: str
    kernels: list[dict[str, Any]] | None = None
    #: Each named column by itself, the clearest shift first (Kolmogorov-Smirnov).
    columns: list[dict[str, Any]] | None = None

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("samples", f"{self.n} and {self.m} points, d = {self.d}")]
        if self.kernels is not None:
            return [*lines, _table(self.kernels)]
        interval = self._fields.get("confidence_interval")
        text = f" ({100 * (1 - self.alpha):g} % interval {interval[0]:.3e} to {interval[1]:.3e})" if interval else ""
        lines += [("kernel", _kernel(self)), ("MMD²", f"{self.mmd2_unbiased:.4e} unbiased{text}")]
        kid, kl = self._fields.get("kid"), self._fields.get("kl")
        if kid:
            lines.append(("KID", f"{kid['kid']:.4e} ± {kid['standard_deviation']:.1e}"))
        return [*lines, ("KL", f"{_nats(kl)}; from x to y, by nearest neighbours")] if kl else lines


class HsicResult(TestResult):
    """The result of :func:`elbo.hsic_test`."""

    _title = "Independence test (HSIC)"
    _rejected = "the variables depend on each other"
    _accepted = "no dependence was found"

    #: Observations.
    n: int
    #: Coordinates and kernel of each variable.
    x: dict[str, Any]
    y: dict[str, Any]
    #: Estimates of HSIC; ``None`` with a budget.
    hsic_biased: float | None = None
    hsic_unbiased: float | None = None
    #: HSIC as a number from 0 to 1.
    cka: float | None = None
    #: From 0 to 1; ``None`` for labels.
    distance_correlation: float | None = None
    kernels: list[dict[str, Any]] | None = None

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("rows", str(self.n))]
        if self.kernels is not None:
            return [*lines, _table(self.kernels)]
        lines += [("kernel", f"{_kernel(self.x)} of x; {_kernel(self.y)} of y")]
        if self.hsic_biased is not None:
            lines.append(("HSIC", f"{self.hsic_biased:.4e} biased, {self.hsic_unbiased:.4e} unbiased"))
        if self.cka is not None:
            distance = self.distance_correlation
            more = "" if distance is None else f", distance correlation {distance:.3f}"
            lines.append(("strength", f"CKA {self.cka:.4f}{more} (0 to 1, above 0 also by chance)"))
        information = self._fields.get("mutual_information")
        return [*lines, ("I(x; y)", f"{_nats(information)}, by nearest neighbours")] if information else lines


class KsdResult(TestResult):
    """The result of :func:`elbo.ksd_test`."""

    _title = "Goodness of fit (KSD)"
    _rejected = "the sample does not come from the model"
    _accepted = "no misfit was found"

    #: The model.
    name: str
    #: How it was fitted to the sample, if it was.
    fitted: str | None = None
    n: int
    d: int
    ksd2_unbiased: float | None = None
    #: ``None`` with a budget.
    ksd2_biased: float | None = None
    kernel: str | None = None
    bandwidths: list[float] | None = None
    bandwidth_rule: str
    kernels: list[dict[str, Any]] | None = None
    #: The result of the other model, where two were given.
    against: KsdResult | None = None
    #: Which of the two models fits better: ``difference``, ``standard_error``, ``p_value``, ``better``.
    relative: dict[str, Any] | None = None

    def _lines(self) -> list[tuple[str, str]]:
        fitted = [] if self.fitted is None else [("fitted", self.fitted)]
        lines = [("sample", f"{self.n} points, d = {self.d}"), ("model", self.name), *fitted]
        if self.kernels is not None:
            return [*lines, _table(self.kernels)]
        lines += [("kernel", _kernel(self)), ("KSD²", f"{self.ksd2_unbiased:.4e} unbiased")]
        if self.relative is not None:
            better = self.relative["better"]
            words = "neither model was found to be better" if better is None else f"{better} fits better"
            lines.append(("relative", f"{words} (p = {_number(self.relative['p_value'])})"))
        return lines


class CloserResult(TestResult):
    """The result of :func:`elbo.closer_test`."""

    _title = "Relative test (MMD)"

    #: Points of the real sample, a and b.
    counts: list[int]
    d: int
    mmd2_a: float
    mmd2_b: float
    #: ``mmd2_a - mmd2_b``, and its standard error.
    difference: float
    standard_error: float
    #: ``"a"`` or ``"b"``, or ``None`` if neither was found to be closer.
    closer: str | None
    kernel: str
    bandwidths: list[float]
    bandwidth_rule: str

    def _decision(self) -> str:
        if self.closer is None:
            return f"neither was found to be closer (p > {self.alpha:g})"
        return f"{self.closer} is closer (p <= {self.alpha:g})"

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("samples", f"{self.counts[0]} real points, {self.counts[1]} of a, {self.counts[2]} of b; d = {self.d}"),
            ("kernel", _kernel(self)),
            ("MMD²", f"{self.mmd2_a:.4e} to a, {self.mmd2_b:.4e} to b"),
            ("difference", f"{self.difference:.4e} ± {self.standard_error:.1e}"),
        ]


class Witness:
    """Where two samples differ: the result of :func:`elbo.witness`.

    Positive where there is more of x, negative where there is more of y.
    """

    #: At the points of x, ``(n,)``, and of y, ``(m,)``; a point's own kernel value is left out.
    at_x: NDArray[np.float64]
    at_y: NDArray[np.float64]
    #: At the points that were asked for.
    at: NDArray[np.float64] | None

    def __init__(self, fields: dict[str, Any], values: list[NDArray[np.float64]]) -> None:
        self.__dict__.update(fields)
        self.at_x, self.at_y = values[:2]
        self.at = values[2] if len(values) > 2 else None

    def __repr__(self) -> str:
        most, least = int(np.argmax(self.at_x)), int(np.argmin(self.at_y))
        return (
            f"Witness function ({_kernel(self)})\n"
            f"  more of x  {self.at_x[most]:.4e} at x[{most}]\n"
            f"  more of y  {self.at_y[least]:.4e} at y[{least}]"
        )
