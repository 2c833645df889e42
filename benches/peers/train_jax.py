"""How many images a second JAX trains on.

A whole epoch is one jitted call: `lax.scan` over the steps, with the parameters and
Adam's moments donated, so that they are updated in place. Images stay in memory as f32.
The clock covers the permutation, every step, and the sums of the two losses.
"""

import functools
import time

import common

common.choose_jax_platform()

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_default_prng_impl", "unsafe_rbg")


def initial(rng):
    """Weights as (in, out), the faster way round for XLA; PyTorch's default distribution."""
    params = {}
    for name, (inputs, outputs) in common.LAYERS.items():
        bound = inputs**-0.5
        weight = rng.uniform(-bound, bound, (inputs, outputs))
        bias = rng.uniform(-bound, bound, outputs)
        params[name] = jnp.float32(weight), jnp.float32(bias)
    return params


def linear(layer, x):
    weight, bias = layer
    return x @ weight + bias


def loss(params, x, noise):
    """Nats per image, and the batch's summed squared error and KL."""
    hidden = jax.nn.relu(linear(params["encoder.0"], x))
    mean, log_std = jnp.split(linear(params["encoder.2"], hidden), 2, axis=1)
    std = jnp.exp(log_std)
    z = mean + std * noise
    hidden = jax.nn.relu(linear(params["decoder.0"], z))
    error = x - linear(params["decoder.2"], hidden)
    sse = jnp.sum(error * error)
    kl = jnp.sum(0.5 * (mean * mean + std * std - 1) - log_std)
    return (0.5 * sse + kl) / len(x), jnp.stack([sse, kl])


def step(state, x, noise):
    params, first, second, t = state
    grads, scores = jax.grad(loss, has_aux=True)(params, x, noise)
    t = t + 1
    correction = jnp.sqrt(1 - common.BETA2**t)
    rate = common.LEARNING_RATE * correction / (1 - common.BETA1**t)
    epsilon = common.EPSILON * correction
    first = jax.tree.map(lambda m, g: common.BETA1 * m + (1 - common.BETA1) * g, first, grads)
    second = jax.tree.map(lambda v, g: common.BETA2 * v + (1 - common.BETA2) * g * g, second, grads)
    params = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + epsilon), params, first, second
    )
    return (params, first, second, t), scores


@functools.partial(jax.jit, donate_argnums=0)
def epoch(state, images, order, key):
    """One pass over the rows of `order`, a (steps, batch) table of image numbers."""

    def body(state, inputs):
        rows, key = inputs
        x = images.at[rows].get(mode="promise_in_bounds")
        return step(state, x, jax.random.normal(key, (len(rows), common.LATENT)))

    state, scores = jax.lax.scan(body, state, (order, jax.random.split(key, len(order))))
    return state, scores.sum(axis=0) / order.size


def main():
    args = common.parse(common.options(__doc__))
    images = jnp.asarray(common.training_images(args))
    args.count = len(images)
    steps = args.count // args.batch
    rng = np.random.default_rng(args.seed)
    params = initial(rng)
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)
    state = params, zeros(), zeros(), jnp.float32(0)
    key = jax.random.key(args.seed)

    seconds = []
    for _ in range(1 + args.epochs):
        start = time.perf_counter()
        order = rng.permutation(args.count)[: steps * args.batch].astype(np.int32)
        key, noise = jax.random.split(key)
        state, scores = epoch(state, images, order.reshape(steps, args.batch), noise)
        scores.block_until_ready()
        seconds.append(time.perf_counter() - start)

    test = None
    if args.evaluate:
        x = jnp.asarray(common.test_images(args))
        noise = jax.random.normal(key, (len(x), common.LATENT))
        test = loss(state[0], x, noise)[1] / len(x)
    common.report("jax", args, jax.__version__, seconds[1:], scores, test)


if __name__ == "__main__":
    main()
