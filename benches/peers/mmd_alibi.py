"""The MMD permutation test of alibi-detect: its PyTorch backend, or with `--keops` its KeOps backend.

On a GPU all permutations are timed; on the CPU a few, and what all would take is reported.
"""

import statistics

import alibi_detect
import mmd_common as common
import numpy as np
from alibi_detect.cd import MMDDrift

TIMED = 20
# The samples are scaled for exp(-|x - y|²).
SIGMA = np.array([0.5**0.5], np.float32)


def main():
    parser = common.options(__doc__, ["test"])
    parser.add_argument("--keops", action="store_true", help="the KeOps backend")
    args = common.parse(parser)
    backend = "keops" if args.keops else "pytorch"
    x, y = common.samples(args)

    def test(permutations):
        drift = MMDDrift(x, backend=backend, sigma=SIGMA, n_permutations=permutations, device=args.device)
        return drift.predict(y, return_p_val=True)["data"]["distance"]

    def seconds(permutations, budget):
        return statistics.median(common.clock(lambda: test(permutations), budget, 3))

    value = float(test(1))
    if args.device == "cuda":
        form, time = "all permutations", seconds(args.permutations, args.seconds)
    else:
        one, more = seconds(1, args.seconds / 4), seconds(1 + TIMED, 0)
        form = f"{TIMED} permutations timed, scaled to {args.permutations:,}"
        time = one + (args.permutations - 1) * max(more - one, 0) / TIMED
    peer = "alibi-detect-keops" if args.keops else "alibi-detect"
    common.report(peer, args, alibi_detect.__version__, form, time, value)


if __name__ == "__main__":
    main()
