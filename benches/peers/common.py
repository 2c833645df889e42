"""What the peers share: options, images, starting weights, and the line of JSON they print."""

import argparse
import gzip
import json
import os
import statistics
import sys
from pathlib import Path

import numpy as np

PIXELS, HIDDEN, LATENT = 784, 300, 20
LAYERS = {
    "encoder.0": (PIXELS, HIDDEN),
    "encoder.2": (HIDDEN, 2 * LATENT),
    "decoder.0": (LATENT, HIDDEN),
    "decoder.2": (HIDDEN, PIXELS),
}
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def device_option(parser):
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where peers work")


def choose_jax_platform():
    """JAX reads its platform when it is imported, before any option is parsed."""
    platform = "cuda" if {"cuda", "--device=cuda"} & set(sys.argv) else "cpu"
    os.environ.setdefault("JAX_PLATFORMS", platform)
    # Products of f32 are f32: on GPUs the default is less.
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")


def options(description):
    parser = argparse.ArgumentParser(description=description)
    device_option(parser)
    parser.add_argument("--batch", type=int, default=128, help="images per step")
    parser.add_argument("--images", type=int, default=60000, help="images per epoch")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs, after a warm-up epoch")
    parser.add_argument("--mnist", metavar="DIR", help="MNIST's IDX gz files; else random pixels")
    parser.add_argument("--evaluate", action="store_true", help="score the test images (needs --mnist)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def parse(parser):
    args = parser.parse_args()
    if args.evaluate and not args.mnist:
        parser.error("--evaluate needs --mnist DIR")
    return args


def read_idx(directory, name):
    """The images of one IDX file, one row of u8 pixels each."""
    with gzip.open(Path(directory) / f"{name}-images-idx3-ubyte.gz") as file:
        data = file.read()
    magic, count, rows, columns = np.frombuffer(data, ">i4", 4)
    assert (magic, rows * columns) == (2051, PIXELS), f"{name}: not MNIST images"
    return np.frombuffer(data, np.uint8, offset=16).reshape(count, PIXELS)


def to_f32(pixels):
    return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)


def training_images(args):
    """The training pixels as f32 in 0..1."""
    if args.mnist:
        pixels = read_idx(args.mnist, "train")[: args.images]
    else:
        shape = (args.images, PIXELS)
        pixels = np.random.default_rng(args.seed).integers(0, 256, shape, dtype=np.uint8)
    assert len(pixels) >= args.batch, "fewer images than one batch"
    return to_f32(pixels)


def test_images(args):
    return to_f32(read_idx(args.mnist, "t10k"))


def report(peer, args, version, seconds, scores, test=None):
    """Print the line: the median rate, and the last epoch's mean training scores per image."""
    count = args.count // args.batch * args.batch
    line = {
        "peer": peer,
        "batch": args.batch,
        "images_per_second": round(count / statistics.median(seconds), 1) if seconds else None,
        "version": version,
        "sse": round(float(scores[0]), 4),
        "kl": round(float(scores[1]), 4),
    }
    if test is not None:
        line["test_sse"], line["test_kl"] = (round(float(score), 4) for score in test)
    print(json.dumps(line), flush=True)
