"""How many images a second PyTorch trains on, on the CPU: eager, or compiled with `--compile`.

Images stay in memory as f32; each step selects its rows of one permutation, and nothing
is read back until the epoch ends. Compiled, the step (selection, noise, forward and
backward passes, and sums) is one `torch.compile`d function; Adam is PyTorch's fused one
both ways. The clock covers the permutation, every step, and the sums of the two losses.
"""

import os
import time

import common

# Threads that wait for work should yield: other processes may want the core.
os.environ.setdefault("OMP_NUM_THREADS", str(common.CORES))

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(common.CORES)
# Moments of pixels that are nearly always blank decay into denormals, which are slow.
torch.set_flush_denormal(True)


class Vae(nn.Module):
    def __init__(self, pixels=common.PIXELS, hidden=common.HIDDEN, latent=common.LATENT):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
        )

    def forward(self, x, noise):
        """The batch's summed squared error and KL."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        std = log_std.exp()
        z = torch.addcmul(mean, std, noise)
        sse = F.mse_loss(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean.square().sum() + std.square().sum() - mean.numel()) - log_std.sum()
        return sse, kl
