"""Convolutional networks: LeNet, and the blocks of ResNet and ResNeXt. D2L 7.6, 8.6."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfd2l.book.models.arguments import checked
from tfd2l.book.module import Classifier

__all__ = ["LeNet", "ResNeXtBlock", "Residual"]


class LeNet(Classifier):
    """Two convolutional layers and three dense ones, with sigmoids between; gives logits.

    Example:
        >>> model = d2l.LeNet()
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 7.6.
    """

    @checked
    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        """Make the layers for (n, 28, 28, 1) images; other sizes work from 12 pixels on."""
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Conv2D(6, 5, activation="sigmoid", padding="same"),
                keras.layers.AveragePooling2D(2),
                keras.layers.Conv2D(16, 5, activation="sigmoid"),
                keras.layers.AveragePooling2D(2),
                keras.layers.Flatten(),
                keras.layers.Dense(120, activation="sigmoid"),
                keras.layers.Dense(84, activation="sigmoid"),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(num_classes, dtype="float32"),
            ]
        )


class Residual(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Two 3x3 convolutions, whose result is added to the block's input.

    Example:
        >>> block = d2l.Residual(6, use_1x1conv=True, strides=2)
        >>> block(tf.zeros((4, 6, 6, 3))).shape
        TensorShape([4, 3, 3, 6])

    Source: D2L 8.6.2.
    """

    @checked
    def __init__(self, num_channels: int, use_1x1conv: bool = False, strides: int = 1) -> None:
        """Make the layers.

        Args:
            num_channels: channels of the output, and of the input unless `use_1x1conv`.
            use_1x1conv: convolve the input by a 1x1 kernel before it is added.
            strides: of the first convolution; 2 halves height and width.

        Raises:
            ValueError: a number is out of range, or `strides` needs the 1x1 convolution.
        """
        super().__init__()
        _check_shortcut(use_1x1conv, strides)
        self.num_channels = num_channels
        self.conv1 = keras.layers.Conv2D(num_channels, 3, padding="same", strides=strides)
        self.conv2 = keras.layers.Conv2D(num_channels, 3, padding="same")
        self.conv3 = keras.layers.Conv2D(num_channels, 1, strides=strides) if use_1x1conv else None
        self.bn1 = keras.layers.BatchNormalization()
        self.bn2 = keras.layers.BatchNormalization()

    def call(self, X: tf.Tensor) -> tf.Tensor:
        """(n, h, w, channels) float -> (n, h / strides, w / strides, num_channels) float.

        Raises:
            ValueError: the input has other channels than `num_channels`, and isn't convolved.
        """
        Y = keras.activations.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        return keras.activations.relu(Y + _shortcut(X, self.num_channels, self.conv3))


class ResNeXtBlock(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A residual block with a grouped 3x3 convolution between two 1x1 convolutions.

    The package of the book, in version 1.0.3, takes `groups` for the channels of one group; here
    it is their number, as in the book's text.

    Example:
        >>> block = d2l.ResNeXtBlock(32, 16, 1)
        >>> block(tf.zeros((4, 96, 96, 32))).shape
        TensorShape([4, 96, 96, 32])

    Source: D2L 8.6.5.
    """

    @checked
    def __init__(
        self,
        num_channels: int,
        groups: int,
        bot_mul: float,
        use_1x1conv: bool = False,
        strides: int = 1,
    ) -> None:
        """Make the layers.

        Args:
            num_channels: channels of the output, and of the input unless `use_1x1conv`.
            groups: number of groups into which the 3x3 convolution splits its channels.
            bot_mul: channels of the 3x3 convolution, as a multiple of `num_channels`.
            use_1x1conv: convolve the input by a 1x1 kernel before it is added.
            strides: of the 3x3 convolution; 2 halves height and width.

        Raises:
            ValueError: a number is out of range, the channels of the 3x3 convolution can't be
                split into `groups`, or `strides` needs the 1x1 convolution.
        """
        super().__init__()
        _check_shortcut(use_1x1conv, strides)
        bot_channels = round(num_channels * bot_mul)
        if bot_channels < 1 or bot_channels % groups:
            raise ValueError(
                f"groups must divide the channels of the 3x3 convolution; got groups={groups} and "
                f"{num_channels} * {bot_mul:g} = {bot_channels} channels."
            )
        self.num_channels = num_channels
        self.conv1 = keras.layers.Conv2D(bot_channels, 1)
        self.conv2 = keras.layers.Conv2D(
            bot_channels, 3, padding="same", strides=strides, groups=groups
        )
        self.conv3 = keras.layers.Conv2D(num_channels, 1)
        self.bn1 = keras.layers.BatchNormalization()
        self.bn2 = keras.layers.BatchNormalization()
        self.bn3 = keras.layers.BatchNormalization()
        self.conv4 = self.bn4 = None
        if use_1x1conv:
            self.conv4 = keras.layers.Conv2D(num_channels, 1, strides=strides)
            self.bn4 = keras.layers.BatchNormalization()

    def call(self, X: tf.Tensor) -> tf.Tensor:
        """(n, h, w, channels) float -> (n, h / strides, w / strides, num_channels) float.

        Raises:
            ValueError: the input has other channels than `num_channels`, and isn't convolved.
        """
        Y = keras.activations.relu(self.bn1(self.conv1(X)))
        Y = keras.activations.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        return keras.activations.relu(Y + _shortcut(X, self.num_channels, self.conv4, self.bn4))


def _check_shortcut(use_1x1conv: bool, strides: int) -> None:
    """Raise ValueError if the output gets smaller than the input that is added to it."""
    if strides != 1 and not use_1x1conv:
        raise ValueError(
            f"strides={strides} makes the output smaller than the input that is added to it; "
            "shrink the input as well, by use_1x1conv=True."
        )


def _shortcut(X: tf.Tensor, num_channels: int, *layers: Any) -> tf.Tensor:
    """The input behind those of the layers that are not None, with `num_channels` channels."""
    for layer in layers:
        X = X if layer is None else layer(X)
    if X.shape[-1] != num_channels:
        raise ValueError(
            f"the input of the block needs num_channels={num_channels} channels, as it is added to "
            f"the output; got shape {X.shape}. use_1x1conv=True takes any number."
        )
    return X
