"""tfd2l/book/models/convolutional.py: shapes, parameters and outputs, by hand and by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

Block = Callable[..., Any]


def test_lenet_has_the_books_shapes_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    model = d2l.LeNet()
    model.layer_summary((1, 28, 28, 1))
    shapes = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert shapes == [
        "(1, 28, 28, 6)", "(1, 14, 14, 6)", "(1, 10, 10, 16)", "(1, 5, 5, 16)", "(1, 400)",
        "(1, 120)", "(1, 84)", "(1, 10)",
    ]  # fmt: skip
    # Each layer's kernel and biases: 5*5*1*6+6, 5*5*6*16+16, 400*120+120, 120*84+84, 84*10+10.
    assert sum(weight.size for weight in model.get_weights()) == 156 + 2416 + 48120 + 10164 + 850


@pytest.mark.parametrize(
    ("block", "given", "shape"),
    [
        (d2l.Residual(3), (4, 6, 6, 3), (4, 6, 6, 3)),
        (d2l.Residual(6, use_1x1conv=True, strides=2), (4, 6, 6, 3), (4, 3, 3, 6)),
        (d2l.ResNeXtBlock(32, 16, 1), (4, 96, 96, 32), (4, 96, 96, 32)),
        (d2l.ResNeXtBlock(8, 2, 0.5, use_1x1conv=True, strides=2), (1, 7, 7, 3), (1, 4, 4, 8)),
    ],
)
def test_blocks_have_the_books_shapes(
    block: Any, given: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    assert tuple(block(tf.zeros(given)).shape) == shape


@pytest.mark.parametrize(
    ("groups", "convolved", "count"),
    [
        # Two 1x1 convolutions 32*32+32, the grouped one 3*3*(32/groups)*32+32, and for each of
        # the three normalizations 4*32; the shortcut adds 1x1 and normalization.
        (1, False, 2 * 1056 + 9248 + 3 * 128),
        (16, False, 2 * 1056 + 608 + 3 * 128),
        (16, True, 3 * 1056 + 608 + 4 * 128),
    ],
)
def test_groups_divide_the_parameters_of_the_3x3_convolution(
    groups: int, convolved: bool, count: int
) -> None:
    block = d2l.ResNeXtBlock(32, groups, 1, use_1x1conv=convolved)
    block(tf.zeros((1, 4, 4, 32)))
    assert block.count_params() == count


def test_a_grouped_convolution_is_one_convolution_for_each_group() -> None:
    X = tf.random.stateless_normal((2, 5, 5, 6), seed=(1, 2))
    block = d2l.ResNeXtBlock(6, 3, 1)
    block(X)
    H = tf.nn.relu(block.bn1(block.conv1(X)))
    kernels = np.split(block.conv2.kernel.numpy(), 3, axis=-1)
    groups = [
        tf.nn.conv2d(part, kernel, strides=1, padding="SAME")
        for part, kernel in zip(tf.split(H, 3, axis=-1), kernels, strict=True)
    ]
    Y = tf.nn.relu(block.bn2(tf.concat(groups, -1)))
    # Float32 sums of 18 terms.
    np.testing.assert_allclose(
        block(X), tf.nn.relu(block.bn3(block.conv3(Y)) + X), rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
def test_gradients_reach_all_groups_alike_eagerly_and_compiled() -> None:
    X = tf.random.stateless_normal((2, 4, 4, 6), seed=(1, 2))
    block = d2l.ResNeXtBlock(6, 3, 1)
    block(X)

    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(block(X, training=True) ** 2)
        return tape.gradient(loss, block.conv2.kernel)

    eager = gradient()
    # (3, 3, 2, 6): each of the 6 filters sees the 2 channels of its group.
    assert eager.shape == (3, 3, 2, 6)
    assert (tf.reduce_sum(tf.abs(eager), (0, 1, 2)).numpy() > 0).all()
    # Float32 sums of 32 terms, behind two normalizations.
    np.testing.assert_allclose(tf.function(gradient)(), eager, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("block", [d2l.Residual, lambda *a, **k: d2l.ResNeXtBlock(a[0], 1, 1, **k)])
def test_an_input_that_cannot_be_added_is_refused(block: Block) -> None:
    with pytest.raises(ValueError, match="strides=2 makes the output smaller.*use_1x1conv=True"):
        block(4, strides=2)
    with pytest.raises(ValueError, match=r"needs num_channels=1 .*\(2, 5, 5, 3\)\. use_1x1conv"):
        block(1)(tf.zeros((2, 5, 5, 3)))


def test_wrong_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"groups=3 and 8 \* 0\.5 = 4 channels"):
        d2l.ResNeXtBlock(8, 3, 0.5)
    with pytest.raises(ValueError, match="num_channels must be a whole number of at least 1"):
        d2l.Residual(0)
