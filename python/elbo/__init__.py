"""Compare distributions and learn them, on any GPU or none.

Tests: :func:`mmd_test` (do two samples come from one distribution?), :func:`hsic_test` (do two variables depend on each
other?), :func:`ksd_test` (does a sample come from a model?), :func:`closer_test` (which of two samples is closer to a third?),
:func:`witness` (where do two samples differ?). Models: :class:`VAE`.
"""

from ._elbo import __version__, devices
from ._messages import ElboWarning
from ._results import CloserResult, HsicResult, KsdResult, MmdResult, TestResult, Witness
from ._tests import closer_test, hsic_test, ksd_test, median_bandwidth, mmd2, mmd_test, power, witness
from ._vae import VAE

__all__ = [
    "CloserResult",
    "ElboWarning",
    "HsicResult",
    "KsdResult",
    "MmdResult",
    "TestResult",
    "VAE",
    "Witness",
    "__version__",
    "closer_test",
    "devices",
    "hsic_test",
    "ksd_test",
    "median_bandwidth",
    "mmd2",
    "mmd_test",
    "power",
    "witness",
]
