"""Section 5.3: the chain rule by hand, in NumPy, against the tape."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

DECAY = 0.1
Values = dict[str, tf.Tensor]


@pytest.fixture
def network() -> Values:
    random = tf.random.Generator.from_seed(0)
    return {
        "X": random.normal((4, 5)),
        "y": tf.constant([0, 1, 1, 0]),
        "W1": tf.Variable(random.normal((5, 3))),
        "W2": tf.Variable(random.normal((3, 2))),
    }


def forward(network: Values) -> Values:
    W1, W2 = network["W1"], network["W2"]
    Z = network["X"] @ W1
    H = d2l.relu(Z)
    outputs = H @ W2
    L = tf.reduce_mean(d2l.cross_entropy_from_logits(outputs, network["y"]))
    s = DECAY / 2 * (tf.reduce_sum(W1**2) + tf.reduce_sum(W2**2))
    return {"Z": Z, "H": H, "O": outputs, "L": L, "s": s, "J": L + s}


def test_intermediate_values_have_the_shapes_of_the_drawing(network: Values) -> None:
    assert {name: tuple(value.shape) for name, value in forward(network).items()} == {
        "Z": (4, 3),
        "H": (4, 3),
        "O": (4, 2),
        "L": (),
        "s": (),
        "J": (),
    }


def test_the_backward_pass_by_hand_is_the_tapes(network: Values) -> None:
    with tf.GradientTape() as tape:
        values = forward(network)
    parameters = {name: network[name] for name in ("W1", "W2")}
    by_tape = tape.gradient(values["J"], {**values, **parameters})

    X, W1, W2 = (network[name].numpy() for name in ("X", "W1", "W2"))
    Z, H, outputs = (values[name].numpy() for name in ("Z", "H", "O"))
    exp = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    Y = np.eye(2)[network["y"].numpy()]
    by_hand = {"L": np.float64(1), "s": np.float64(1), "J": np.float64(1)}
    by_hand["O"] = (exp / exp.sum(axis=1, keepdims=True) - Y) / 4
    by_hand["W2"] = H.T @ by_hand["O"] + DECAY * W2
    by_hand["H"] = by_hand["O"] @ W2.T
    by_hand["Z"] = by_hand["H"] * (Z > 0)
    by_hand["W1"] = X.T @ by_hand["Z"] + DECAY * W1
    assert set(by_hand) == set(by_tape)
    for name, gradient in by_tape.items():
        assert gradient.shape == by_hand[name].shape, name
        # Sums of at most five float32 products of numbers below 3.
        np.testing.assert_allclose(gradient, by_hand[name], atol=2e-6, err_msg=name)


def test_a_finite_difference_agrees_with_the_tape(network: Values) -> None:
    with tf.GradientTape() as tape:
        J = forward(network)["J"]
    gradient = tape.gradient(J, network["W1"])
    step = np.zeros((5, 3), np.float32)
    step[2, 1] = 0.01
    above, below = (
        float(forward({**network, "W1": network["W1"] + sign * step})["J"]) for sign in (1, -1)
    )
    # The rule's error is of the order 0.01^2, float32's 1e-7 / 0.02.
    assert (above - below) / 0.02 == pytest.approx(float(gradient[2, 1]), abs=1e-3)


def test_eager_and_graph_have_the_same_gradients(network: Values) -> None:
    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            J = forward(network)["J"]
        found: list[tf.Tensor] = tape.gradient(J, [network["W1"], network["W2"]])
        return found

    with tf.GradientTape() as tape:
        J = forward(network)["J"]
    eager = tape.gradient(J, [network["W1"], network["W2"]])
    for one, other in zip(eager, gradients(), strict=True):
        # The graph's optimizer may order float32 sums in another way.
        np.testing.assert_allclose(one, other, atol=1e-6)
    operations = gradients.get_concrete_function().graph.get_operations()
    # Two forward; backward one for each weight and one for H, none for X.
    assert [operation.type for operation in operations].count("MatMul") == 5


def test_no_gradient_passes_through_an_integer(network: Values) -> None:
    with tf.GradientTape() as tape:
        accuracy = d2l.accuracy(forward(network)["O"], network["y"])
    assert tape.gradient(accuracy, network["W1"]) is None
