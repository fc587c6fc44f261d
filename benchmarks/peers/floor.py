"""The floor: the matrix products of an epoch and the gathering of its batches, in NumPy alone."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.common import NUM_HIDDENS, Data, Epochs, Workload, main


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Multiply as training and validation do, and learn nothing."""
    generator = np.random.default_rng(0)
    X, X_val = ((images.reshape(len(images), -1) / np.float32(255)) for images in
                (data.train[0], data.val[0]))  # fmt: skip
    width = NUM_HIDDENS if workload.hidden else 10
    W1 = generator.normal(size=(784, width)).astype(np.float32)
    W2 = generator.normal(size=(width, 10)).astype(np.float32)
    size = workload.batch_size
    for _ in range(num_epochs):
        epochs.start()
        order = generator.permutation(len(X))
        for start in range(0, len(X), size):
            batch = X[order[start : start + size]]
            H = batch @ W1
            if workload.hidden:
                Y = H @ W2
                _ = H.T @ Y
                H = Y @ W2.T
            _ = batch.T @ H
        for start in range(0, len(X_val), size):
            H = X_val[start : start + size] @ W1
            if workload.hidden:
                _ = H @ W2
        # Nothing is learnt, so there is no accuracy.
        epochs.end(float("nan"))


if __name__ == "__main__":
    main(run)
