"""How many images a second PyTorch trains on: eager, or compiled with `--compile`.

Images stay in memory as f32; each step selects its rows of one permutation, and nothing
is read back until the epoch ends. Eager uses PyTorch's fused Adam. Compiled, the whole
step (selection, noise, both passes, sums and Adam) is one `torch.compile`d graph, with
`--mode reduce-overhead` replayed as a CUDA graph. `--graph` captures the eager step in a
CUDA graph. The clock covers the permutation, every step, and the sums of the two losses.
"""

import time

import common
import torch
from torch import nn
from torch.func import functional_call, grad
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
        """Nats per image, and the batch's summed squared error and KL."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        std = log_std.exp()
        z = torch.addcmul(mean, std, noise)
        sse = F.mse_loss(self.decoder(z), x, reduction="sum")
        kl = (0.5 * (mean.square() + std.square() - 1) - log_std).sum()
        return (0.5 * sse + kl) / len(x), torch.stack([sse.detach(), kl.detach()])


def eager_step(model, images, scores, capturable=False):
    adam = torch.optim.Adam(
        model.parameters(),
        lr=common.LEARNING_RATE,
        betas=(common.BETA1, common.BETA2),
        eps=common.EPSILON,
        fused=True,
        capturable=capturable,
    )

    def step(rows):
        adam.zero_grad(set_to_none=True)
        noise = torch.randn(len(rows), common.LATENT, device=rows.device)
        loss, sums = model(images.index_select(0, rows), noise)
        loss.backward()
        adam.step()
        scores.add_(sums)

    return step


def graph_step(model, images, scores, batch):
    """The eager step, captured once in a CUDA graph after a few steps on another stream."""
    eager = eager_step(model, images, scores, capturable=True)
    static_rows = torch.zeros(batch, dtype=torch.int64, device=images.device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            eager(static_rows)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        eager(static_rows)

    def step(rows):
        static_rows.copy_(rows)
        graph.replay()

    return step


def compiled_step(model, images, scores, mode):
    """Adam is written out, so that it is compiled in one graph with the gradients."""
    params = {name: tensor.detach() for name, tensor in model.named_parameters()}
    first = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    second = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    t = torch.zeros((), device=images.device)
    # CUDA graphs take tensors that change in place only where their addresses never do.
    for tensor in [*params.values(), *first.values(), *second.values(), t, scores, images]:
        torch._dynamo.mark_static_address(tensor)

    def loss(params, x, noise):
        return functional_call(model, params, (x, noise))

    @torch.compile(fullgraph=True, mode=mode)
    def step(rows):
        x = images.index_select(0, rows)
        noise = torch.randn(len(rows), common.LATENT, device=images.device)
        grads, sums = grad(loss, has_aux=True)(params, x, noise)
        scores.add_(sums)
        t.add_(1)
        correction = (1 - common.BETA2**t).sqrt()
        rate = common.LEARNING_RATE * correction / (1 - common.BETA1**t)
        epsilon = common.EPSILON * correction
        for name, g in grads.items():
            m, v = first[name], second[name]
            m.mul_(common.BETA1).add_(g, alpha=1 - common.BETA1)
            v.mul_(common.BETA2).addcmul_(g, g, value=1 - common.BETA2)
            params[name].sub_(rate * m / (v.sqrt() + epsilon))

    return step


def main():
    parser = common.options(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile the step")
    parser.add_argument("--mode", default="default", help="that of torch.compile")
    parser.add_argument("--graph", action="store_true", help="one CUDA graph of the eager step")
    args = common.parse(parser)
    if args.graph and args.device != "cuda":
        parser.error("--graph needs --device cuda")
    device = torch.device(args.device)
    torch.manual_seed(args.seed)
    images = torch.from_numpy(common.training_images(args)).to(device)
    args.count = len(images)
    steps = args.count // args.batch
    model = Vae().to(device)
    scores = torch.zeros(2, device=device)
    if args.compile:
        step = compiled_step(model, images, scores, args.mode)
    elif args.graph:
        step = graph_step(model, images, scores, args.batch)
    else:
        step = eager_step(model, images, scores)

    seconds = []
    for _ in range(1 + args.epochs):
        start = time.perf_counter()
        scores.zero_()
        order = torch.randperm(args.count, device=device)[: steps * args.batch]
        for rows in order.view(steps, args.batch):
            step(rows)
        sums = scores.tolist()
        seconds.append(time.perf_counter() - start)

    test = None
    if args.evaluate:
        x = torch.from_numpy(common.test_images(args)).to(device)
        with torch.no_grad():
            noise = torch.randn(len(x), common.LATENT, device=device)
            test = (model(x, noise)[1] / len(x)).tolist()
    peer = "torch-compiled" if args.compile else "torch-graph" if args.graph else "torch-eager"
    means = [score / (steps * args.batch) for score in sums]
    common.report(peer, args, torch.__version__, seconds[1:], means, test)


if __name__ == "__main__":
    main()
