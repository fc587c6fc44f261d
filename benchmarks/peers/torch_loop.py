"""PyTorch, written for speed: tensors in memory, one permutation an epoch, a loop."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmarks.peers.common import NUM_HIDDENS, Data, Epochs, Workload, main


class Scratch:
    """W1 to W3: parameters as bare tensors, and SGD by hand."""

    def __init__(self, workload: Workload) -> None:
        widths = [2, 1] if workload.is_linear else [784, NUM_HIDDENS, 10]
        if workload.name == "W2":
            widths = [784, 10]
        self.parameters = []
        for n, m in zip(widths, widths[1:]):  # noqa: B905, RUF007 - plain pairs
            self.parameters += [torch.randn(n, m) * 0.01, torch.zeros(m)]
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.lr = workload.lr

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        W, b = self.parameters[-2:]
        if len(self.parameters) == 4:
            X = torch.relu(X @ self.parameters[0] + self.parameters[1])
        return X @ W + b

    def step(self, loss: torch.Tensor) -> None:
        """Move against the gradient."""
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            for parameter, gradient in zip(self.parameters, gradients):  # noqa: B905
                parameter -= self.lr * gradient


class Concise:
    """W4: PyTorch's layers and optimizer."""

    def __init__(self, workload: Workload) -> None:
        self.net = torch.nn.Sequential(
            torch.nn.Linear(784, NUM_HIDDENS), torch.nn.ReLU(), torch.nn.Linear(NUM_HIDDENS, 10)
        )
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=workload.lr)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return self.net(X)

    def step(self, loss: torch.Tensor) -> None:
        """Move against the gradient."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Train and validate."""
    torch.manual_seed(0)

    def tensors(X: object, y: object) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = torch.as_tensor(X), torch.as_tensor(y)
        if workload.is_linear:
            return inputs, targets
        return inputs.reshape(-1, 784).float() / 255, targets.long()

    def loss_of(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if workload.is_linear:
            return ((y_hat - y) ** 2 / 2).mean()
        return F.cross_entropy(y_hat, y)

    (X, y), (X_val, y_val) = tensors(*data.train), tensors(*data.val)
    model = Concise(workload) if workload.name == "W4" else Scratch(workload)
    size = workload.batch_size
    for _ in range(num_epochs):
        epochs.start()
        for indices in torch.randperm(len(X)).split(size):
            model.step(loss_of(model(X[indices]), y[indices]))
        measured = 0.0
        with torch.no_grad():
            for start in range(0, len(X_val), size):
                y_hat, truth = model(X_val[start : start + size]), y_val[start : start + size]
                if workload.is_linear:
                    measured += loss_of(y_hat, truth).item() * len(truth)
                else:
                    loss_of(y_hat, truth)
                    measured += (y_hat.argmax(1) == truth).sum().item()
        epochs.end(measured / len(X_val))


if __name__ == "__main__":
    main(run)
