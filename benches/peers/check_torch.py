"""Read a model of elbo's in PyTorch and print what it reconstructs.

The tensors of `model.safetensors` are loaded strictly into plain `nn.Sequential`s, whose
sizes are taken from the tensors. The output is one JSON list of pixels for each of the
first 8 MNIST test images: the decoding of its mean. With `--compare`, it prints how far
it is from what elbo reconstructs:

    cargo run --release --example reconstruct MODEL DIR > elbo.txt
    python benches/peers/check_torch.py MODEL --mnist DIR --compare elbo.txt

With `--write`, a model with random weights from a fixed seed is written, for elbo to read.
"""

import argparse
import json
from pathlib import Path

import common
import torch
from safetensors.torch import load_file, save_file
from train_torch import Vae


def load(path):
    if path.is_dir():
        path = path / "model.safetensors"
    tensors = load_file(path)
    hidden, pixels = tensors["encoder.0.weight"].shape
    latent = tensors["decoder.0.weight"].shape[1]
    model = Vae(pixels, hidden, latent)
    model.load_state_dict(tensors, strict=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a checkpoint's directory, or a .safetensors file")
    parser.add_argument("--mnist", metavar="DIR", help="MNIST's IDX gz files")
    parser.add_argument("--compare", metavar="FILE", type=Path, help="elbo's reconstructions")
    parser.add_argument("--write", metavar="OUT", help="write a random model to this file")
    parser.add_argument("--seed", type=int, default=0, help="for --write")
    args = parser.parse_args()
    if args.write:
        torch.manual_seed(args.seed)
        save_file(Vae().state_dict(), args.write)
    if args.model:
        model = load(args.model)
        if not args.mnist:
            print(f"{args.model}: every tensor loaded, and none left over")
            return
        x = torch.from_numpy(common.test_images(args)[:8])
        with torch.no_grad():
            mean = model.encoder(x).chunk(2, dim=1)[0]
            rows = model.decoder(mean)
        if args.compare:
            theirs = torch.tensor([json.loads(line) for line in args.compare.read_text().splitlines()])
            print(f"largest difference of {theirs.numel()} pixels: {(rows - theirs).abs().max():.1e}")
            return
        for row in rows:
            print(json.dumps(row.tolist()))
    elif not args.write:
        parser.error("a model to read, or --write OUT, is needed")


if __name__ == "__main__":
    main()
