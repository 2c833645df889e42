"""Compare distributions and learn them, on any GPU or none.

>>> import elbo
>>> elbo.mmd_test(x, y)      # do two samples come from one distribution?
>>> elbo.hsic_test(x, y)     # do two variables depend on each other?
>>> elbo.ksd_test(x, model)  # does a sample come from a model?
"""

from ._elbo import __version__, devices
from ._messages import ElboWarning
from ._results import CloserResult, HsicResult, KsdResult, MmdResult, TestResult, Witness
from ._tests import closer_test, hsic_test, ksd_test, median_bandwidth, mmd2, mmd_test, power, witness

__all__ = [
    "CloserResult",
    "ElboWarning",
    "HsicResult",
    "KsdResult",
    "MmdResult",
    "TestResult",
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
