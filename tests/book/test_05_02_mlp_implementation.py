"""Section 5.2: the MLP on four variables and as Keras layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist


def test_the_scratch_model_has_four_parameters_of_the_stated_sizes() -> None:
    model = d2l.MLPScratch(num_inputs=784, num_outputs=10, num_hiddens=256, lr=0.1)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert shapes == [(784, 256), (256,), (256, 10), (10,)]
    # 784 * 256 + 256 + 256 * 10 + 10
    assert sum(math.prod(shape) for shape in shapes) == 203_530
    # 200,704 draws know their deviation to 0.16 %, 2,560 to 1.4 %; each times 4.
    assert np.std(model.W1) == pytest.approx(0.01, rel=0.0064)
    assert np.std(model.W2) == pytest.approx(0.01, rel=0.056)
    assert not np.any(model.b1)
    assert not np.any(model.b2)


def test_sigma_is_the_deviation_of_the_first_weights() -> None:
    model = d2l.MLPScratch(num_inputs=784, num_outputs=10, num_hiddens=256, lr=0.1, sigma=0.5)
    assert np.std(model.W1) == pytest.approx(0.5, rel=0.0064)  # as above


# Two inputs, two hidden units, two outputs.
W1, B1 = np.array([[1.0, -1.0], [2.0, 0.5]]), np.array([0.5, 0.0])
W2, B2 = np.array([[1.0, 3.0], [-2.0, 1.0]]), np.array([0.0, -1.0])


def scratch() -> d2l.Classifier:
    return d2l.MLPScratch(num_inputs=2, num_outputs=2, num_hiddens=2, lr=0.1)


def concise() -> d2l.Classifier:
    model = d2l.MLP(num_outputs=2, num_hiddens=2, lr=0.1)
    model(tf.zeros((1, 2)))
    return model


@pytest.mark.parametrize("make", [scratch, concise])
def test_the_forward_pass_of_a_network_worked_by_hand(make: Any) -> None:
    model = make()
    model.set_weights([W1, B1, W2, B2])
    # (1, 1): hidden (3.5, -0.5) -> (3.5, 0); outputs (3.5, 10.5 - 1).
    # (-1, 2): hidden (3.5, 2) stays; outputs (3.5 - 4, 10.5 + 2 - 1). All exact in float32.
    np.testing.assert_array_equal(
        model(tf.constant([[1.0, 1.0], [-1.0, 2.0]])), [[3.5, 9.5], [-0.5, 11.5]]
    )


def test_the_concise_models_widths_come_from_the_first_input() -> None:
    model = d2l.MLP(num_outputs=10, num_hiddens=256, lr=0.1)
    assert model.trainable_variables == []
    assert model(tf.zeros((3, 28, 28, 1))).shape == (3, 10)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert shapes == [(784, 256), (256,), (256, 10), (10,)]


def test_an_untrained_model_guesses() -> None:
    model = d2l.MLPScratch(num_inputs=784, num_outputs=10, num_hiddens=256, lr=0.1)
    loss = model.loss(model(tf.random.uniform((64, 28, 28, 1))), tf.range(64) % 10)
    # Logits are about 0.02 in size, which moves ln 10 by less than that.
    assert float(loss) == pytest.approx(math.log(10), abs=0.02)


def scratch_of_the_book() -> d2l.MLPScratch:
    return d2l.MLPScratch(num_inputs=784, num_outputs=10, num_hiddens=256, lr=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "epochs", "train_loss", "least_accuracy"),
    [
        # Measured over seeds 0 to 4: 1.043 to 1.051, 0.381 to 0.386 and 0.350 to 0.355; accuracies
        # from 0.715 to 0.720, from 0.835 to 0.852 and from 0.843 to 0.862.
        (scratch_of_the_book, 1, 1.047, 0.7),
        pytest.param(scratch_of_the_book, 10, 0.383, 0.82, marks=pytest.mark.long),
        (lambda: d2l.MLP(num_outputs=10, num_hiddens=256, lr=0.1), 10, 0.352, 0.82),
    ],
    ids=["scratch, one epoch", "scratch", "concise"],
)
def test_ten_epochs_at_batch_256_draw_the_books_curves(
    fashion: fashion_mnist.Arrays,
    make: Any,
    epochs: int,
    train_loss: float,
    least_accuracy: float,
) -> None:
    model = make()
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    history = d2l.Trainer(max_epochs=epochs).fit(model, data)
    # Two points of the training curve in an epoch, one of each validation curve.
    lengths = {label: len(points) for label, points in model.board.data.items()}
    assert lengths == {"train_loss": 2 * epochs, "val_loss": epochs, "val_acc": epochs}
    assert history["train_loss"][-1] == pytest.approx(train_loss, abs=0.01)
    assert history["val_acc"][-1] > least_accuracy
