"""The convolutional VAE of Burgess et al. (2018) in PyTorch and JAX: its speed, and the same numbers as elbo's.

Images a second of training on made-up 64 x 64 images, on the CPU, data in memory, one number for each framework:

    python benches/peers/convolution.py --framework torch [--compile] [--channels 3]
    python benches/peers/convolution.py --framework jax

and `elbo bench train --engine cpu --data sprites --architecture burgess --latent 10 --batch 64` beside it.

With `--check MODEL`, the tensors of a checkpoint are loaded strictly into an `nn.Sequential`, and what PyTorch makes of
the images and codes of two files is compared with what elbo made of them:

    elbo data sprites --test --out sprites.npz
    elbo encode RUN --out codes.npz
    elbo decode RUN codes.npz:mean --out decoded.npz
    python benches/peers/convolution.py --check RUN/checkpoints/STEP --images sprites.npz --codes codes.npz
        --decoded decoded.npz

With `--write OUT`, a model with random weights is written, for elbo to read.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

BATCH = 64
LATENT = 10
WARM_UP = 3
LEARNING_RATE = 5e-4
CORES = len(os.sched_getaffinity(0))


def modules(channels):
    from torch import nn

    def halve(inputs):
        return [nn.Conv2d(inputs, 32, 4, 2, 1), nn.ReLU()]

    def double(outputs):
        return nn.ConvTranspose2d(32, outputs, 4, 2, 1)

    encoder = nn.Sequential(
        *halve(channels), *halve(32), *halve(32), *halve(32), nn.Flatten(),
        nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2 * LATENT),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(),
        nn.Unflatten(1, (32, 4, 4)),
        double(32), nn.ReLU(), double(32), nn.ReLU(), double(32), nn.ReLU(), double(channels),
    )
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


def torch_step(args):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(CORES)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = modules(args.channels)
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    x = (torch.rand(BATCH, args.channels, 64, 64) > 0.9).float()

    def loss(x):
        mean, log_std = model["encoder"](x).chunk(2, dim=1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        logits = model["decoder"](z)
        kl = (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum()
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)

    loss = torch.compile(loss) if args.compile else loss

    def step():
        adam.zero_grad(set_to_none=True)
        loss(x).backward()
        adam.step()

    return step, lambda: None, f"torch {torch.__version__}"


def jax_step(args):
    import jax
    import jax.numpy as jnp
    from jax import lax

    numbers = ("NCHW", "OIHW", "NCHW")
    random = np.random.default_rng(0)

    def weights(*shape):
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        return jnp.asarray(random.uniform(-bound, bound, shape), jnp.float32)

    c = args.channels
    down = [(weights(32, i, 4, 4), jnp.zeros(32)) for i in (c, 32, 32, 32)]
    dense = [(weights(o, i), jnp.zeros(o)) for i, o in ((512, 256), (256, 256), (256, 2 * LATENT))]
    back = [(weights(o, i), jnp.zeros(o)) for i, o in ((LATENT, 256), (256, 256), (256, 512))]
    up = [(weights(o, 32, 4, 4), jnp.zeros(o)) for o in (32, 32, 32, c)]
    params = (down, dense, back, up)
    x = jnp.asarray(random.random((BATCH, c, 64, 64)) > 0.9, jnp.float32)
    zeros = jax.tree.map(jnp.zeros_like, params)

    def loss(params, key):
        down, dense, back, up = params
        h = x
        for w, b in down:
            h = lax.conv_general_dilated(h, w, (2, 2), ((1, 1), (1, 1)), dimension_numbers=numbers)
            h = jax.nn.relu(h + b[:, None, None])
        h = h.reshape(BATCH, -1)
        for w, b in dense[:-1]:
            h = jax.nn.relu(h @ w.T + b)
        mean, log_std = jnp.split(h @ dense[-1][0].T + dense[-1][1], 2, axis=1)
        h = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        for w, b in back:
            h = jax.nn.relu(h @ w.T + b)
        h = h.reshape(BATCH, 32, 4, 4)
        for i, (w, b) in enumerate(up):
            # A transposed convolution: strides of the input, the padding of its gradient.
            h = lax.conv_general_dilated(h, w, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=numbers)
            h = h + b[:, None, None]
            h = h if i == 3 else jax.nn.relu(h)
        cross_entropy = jnp.maximum(h, 0) - h * x + jnp.log1p(jnp.exp(-jnp.abs(h)))
        kl = 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1) - log_std
        return (cross_entropy.sum() + kl.sum()) / BATCH

    @jax.jit
    def update(params, m, v, t, key):
        key, now = jax.random.split(key)
        g = jax.grad(loss)(params, now)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return params, m, v, t, key

    state = [(params, zeros, zeros, jnp.float32(0), jax.random.PRNGKey(0))]

    def step():
        state[0] = update(*state[0])

    return step, lambda: jax.block_until_ready(state[0]), f"jax {jax.__version__}"


def speed(args):
    step, wait, name = (torch_step if args.framework == "torch" else jax_step)(args)
    for _ in range(WARM_UP):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(args.steps):
        step()
    wait()
    each = args.steps * BATCH / (time.perf_counter() - start)
    print(f"{name}{' compiled' if args.compile else ''}, {CORES} cores: {each:.0f} images/s")


def check(args):
    import torch
    from safetensors.torch import load_file

    path = args.check / "model.safetensors" if args.check.is_dir() else args.check
    tensors = load_file(path)
    model = modules(tensors["encoder.0.weight"].shape[1])
    model.load_state_dict(tensors, strict=True)
    print(f"{path}: every tensor loaded, and none left over")
    images = np.load(args.images)["imgs"]
    images = images[..., None] if images.ndim == 3 else images
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    codes, decoded = np.load(args.codes), np.load(args.decoded)["imgs"]
    decoded = decoded[..., None] if decoded.ndim == 3 else decoded
    with torch.no_grad():
        mean, log_std = model["encoder"](x).chunk(2, dim=1)
        theirs = torch.from_numpy(codes["mean"])
        image = torch.sigmoid(model["decoder"](theirs)).permute(0, 2, 3, 1)
    for what, a, b in (("mean", mean, theirs), ("log_std", log_std, torch.from_numpy(codes["log_std"])),
                       ("decoded", image, torch.from_numpy(decoded))):
        print(f"{what}: largest difference of {a.numel()} numbers {(a - b).abs().max():.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", choices=("torch", "jax"))
    parser.add_argument("--compile", action="store_true", help="torch.compile the loss")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--check", type=Path, help="a checkpoint's directory, or a .safetensors file")
    parser.add_argument("--images", help="an .npz file of elbo data")
    parser.add_argument("--codes", help="that of elbo encode, of the same images")
    parser.add_argument("--decoded", help="that of elbo decode, of the means")
    parser.add_argument("--write", metavar="OUT", help="write a random model to this file")
    args = parser.parse_args()
    if args.write:
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        save_file(modules(args.channels).state_dict(), args.write)
    if args.framework:
        speed(args)
    if args.check:
        check(args)


if __name__ == "__main__":
    main()
