"""JAX: all full batches of an epoch in one `lax.scan`; then the last batch and the validation."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers.common import NUM_HIDDENS, Data, Epochs, Workload, main

Parameters = list[tuple[jax.Array, jax.Array]]


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Train and validate."""
    widths = [2, 1] if workload.is_linear else [784, NUM_HIDDENS, 10]
    if workload.name == "W2":
        widths = [784, 10]
    key = jax.random.key(0)
    parameters: Parameters = []
    for n, m in zip(widths, widths[1:]):  # noqa: B905, RUF007 - plain pairs
        key, drawn = jax.random.split(key)
        # The concise model starts as wide as a framework's own layers do.
        sigma = (2 / (n + m)) ** 0.5 if workload.name == "W4" else 0.01
        parameters.append((jax.random.normal(drawn, (n, m)) * sigma, jnp.zeros(m)))

    def prepared(X: Any, y: Any) -> tuple[jax.Array, jax.Array]:
        if workload.is_linear:
            return X, y
        return X.reshape(len(X), -1).astype(jnp.float32) * (1 / 255), y.astype(jnp.int32)

    def forward(parameters: Parameters, X: jax.Array) -> jax.Array:
        for W, b in parameters[:-1]:
            X = jax.nn.relu(X @ W + b)
        W, b = parameters[-1]
        return X @ W + b

    def loss_of(parameters: Parameters, X: jax.Array, y: jax.Array) -> jax.Array:
        y_hat = forward(parameters, X)
        if workload.is_linear:
            return ((y_hat - y) ** 2 / 2).mean()
        chosen = jnp.take_along_axis(jax.nn.log_softmax(y_hat), y[:, None], axis=1)
        return -chosen.mean()

    def step(parameters: Parameters, indices: jax.Array, X: Any, y: Any) -> Any:
        batch = prepared(X[indices], y[indices])
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *batch)
        move = partial(jax.tree.map, lambda p, g: p - workload.lr * g)
        return move(parameters, gradients), loss

    size, num_examples = workload.batch_size, len(data.train[0])
    num_full = num_examples // size

    @partial(jax.jit, donate_argnums=0)
    def train(parameters: Parameters, key: jax.Array, X: Any, y: Any) -> Any:
        order = jax.random.permutation(key, num_examples)
        full = order[: num_full * size].reshape(num_full, size)
        parameters, losses = jax.lax.scan(lambda p, i: step(p, i, X, y), parameters, full)
        if num_full * size < num_examples:
            parameters, _ = step(parameters, order[num_full * size :], X, y)
        return parameters, losses

    @partial(jax.jit)
    def validate(parameters: Parameters, X: Any, y: Any) -> Any:
        batch = prepared(X, y)
        loss = loss_of(parameters, *batch)
        hits = forward(parameters, batch[0]).argmax(1) == batch[1].reshape(-1)
        return loss if workload.is_linear else hits.mean() + 0 * loss

    (X, y), (X_val, y_val) = (tuple(map(jnp.asarray, pair)) for pair in (data.train, data.val))
    for _ in range(num_epochs):
        epochs.start()
        key, drawn = jax.random.split(key)
        parameters, _ = train(parameters, drawn, X, y)
        epochs.end(float(validate(parameters, X_val, y_val)))


if __name__ == "__main__":
    main(run)
