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

    def train(self, training: bool) -> None:
        """No part of the model differs between training and validation."""

    def step(self, loss: torch.Tensor) -> None:
        """Move against the gradient."""
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            for parameter, gradient in zip(self.parameters, gradients):  # noqa: B905 - one for each
                parameter -= self.lr * gradient


def net_of(workload: Workload) -> torch.nn.Module:
    """Return the layers of W4, or of a convolutional net."""
    nn = torch.nn
    if workload.name == "W9":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5),
            nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.Sigmoid(),
            nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
        )  # fmt: skip
    if workload.convolutional:
        channels, side = (3, 64) if workload.name == "W9c" else (1, 28)
        return nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear((side // 4) ** 2 * 32, 10),
        )  # fmt: skip
    return nn.Sequential(nn.Linear(784, NUM_HIDDENS), nn.ReLU(), nn.Linear(NUM_HIDDENS, 10))


class Concise:
    """W4 and W9: PyTorch's layers and optimizer."""

    def __init__(self, workload: Workload) -> None:
        self.net = net_of(workload)
        if workload.convolutional:
            # As the book and Keras begin.
            for parameter in self.net.parameters():
                if parameter.ndim > 1:
                    torch.nn.init.xavier_uniform_(parameter)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=workload.lr)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return self.net(X)

    def train(self, training: bool) -> None:
        """Let batch normalization be as in training, or as in validation."""
        self.net.train(training)

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
        shape = (-1, 1, 28, 28) if workload.convolutional else (-1, 784)
        if workload.name == "W9c":
            return inputs.permute(0, 3, 1, 2).contiguous().float() / 255, targets.long()
        return inputs.reshape(shape).float() / 255, targets.long()

    def loss_of(y_hat: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if workload.is_linear:
            return ((y_hat - y) ** 2 / 2).mean()
        return F.cross_entropy(y_hat, y)

    (X, y), (X_val, y_val) = tensors(*data.train), tensors(*data.val)
    concise = workload.name == "W4" or workload.convolutional
    model = Concise(workload) if concise else Scratch(workload)
    size = workload.batch_size
    for _ in range(num_epochs):
        epochs.start()
        model.train(True)
        for indices in torch.randperm(len(X)).split(size):
            model.step(loss_of(model(X[indices]), y[indices]))
        measured = 0.0
        model.train(False)
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
