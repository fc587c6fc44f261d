"""Decodes one image file: the same code for training and in the exported graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["SIGNATURES", "UPRIGHT", "ImageDecoder"]

UPRIGHT = 1
# The beginnings of the files that the graph decodes.
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")
# Luma of Rec. 601, as JPEG and Pillow have it.
_GREY_WEIGHTS = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ImageDecoder:
    """Decodes one JPEG, PNG or GIF file of any size, by TensorFlow's operations.

    The image is stretched to `size`, bilinearly and with antialiasing, and rounded. What the alpha
    of a PNG makes transparent becomes white; 16 bits a channel become their upper 8. Of a GIF the
    first frame is taken, black where it is transparent. EXIF headers are not read: a client turns a
    photograph upright.

    Attributes:
        size: (H, W) in pixels.
        channels: 1 for grey, 3 for red, green and blue.

    Example:
        >>> encoded = tf.io.encode_png(tf.fill((4, 6, 3), tf.constant(200, tf.uint8)))
        >>> print(ImageDecoder(size=(1, 2), channels=1)(encoded).numpy())
        [[200 200]]
    """

    size: tuple[int, int]
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) of grey images, (H, W, 3) of colour."""
        return self.size if self.channels == 1 else (*self.size, self.channels)

    @do_not_convert
    def __call__(self, content: tf.Tensor, orientation: Any = None) -> tf.Tensor:
        """Decode a file.

        Args:
            content: () string.
            orientation: () integer from 1 to 8 of an EXIF header; by default upright.

        Returns:
            `shape` uint8.

        Raises:
            tf.errors.InvalidArgumentError: another format, or a broken file.
        """
        pixels = _decode_rgb(content)
        size = tf.constant(self.size)
        if orientation is not None:
            size = tf.where(_lies_on_its_side(orientation), size[::-1], size)
        # Most files of a data set of small images have the size already.
        scaled = tf.cond(
            tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size)),
            lambda: tf.cast(pixels, tf.float32),
            lambda: tf.image.resize(pixels, size, antialias=True),
        )
        if orientation is not None:
            # After the resizing, which is the same for rows and columns: to turn a photograph of 12
            # megapixels takes 0.3 s, twice as long as all else.
            scaled = _turned_upright(scaled, orientation)
        if self.channels == 1:
            scaled = tf.reduce_sum(scaled * tf.constant(_GREY_WEIGHTS), axis=-1)
        return tf.ensure_shape(tf.saturate_cast(tf.round(scaled), tf.uint8), self.shape)


def _decode_rgb(content: tf.Tensor) -> tf.Tensor:
    """Decode a file: () string -> (h, w, 3) uint8."""
    begin = tf.strings.substr(content, 0, 4)

    def gif() -> tf.Tensor:
        # Of BMP files TensorFlow ignores the palette, and TensorFlow Serving 2.20 is not known to
        # have a decoder of WebP.
        rule = "an image file must be JPEG, PNG or GIF; convert it to PNG"
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(begin, b"GIF8"), [rule])]):
            return tf.io.decode_gif(content)[0]

    return tf.cond(
        tf.io.is_jpeg(content),
        # The default method may differ between builds of TensorFlow.
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.cond(
            tf.equal(begin, b"\x89PNG"),
            # Asked for four channels, it invents a wrong alpha for images of 1, 2 and 4 bits.
            lambda: _on_white(tf.io.decode_png(content, channels=0)),
            gif,
        ),
    )


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Put an image with or without alpha on white: (h, w, 1 to 4) uint8 -> (h, w, 3) uint8."""
    shape = tf.shape(pixels)
    has_alpha = 1 - shape[2] % 2
    colours = pixels[..., : shape[2] - has_alpha]

    def mixed() -> tf.Tensor:
        opaque = tf.cast(pixels[..., shape[2] - 1 :], tf.float32) / 255.0
        dark = 255.0 - tf.cast(colours, tf.float32)
        return tf.saturate_cast(tf.round(255.0 - dark * opaque), tf.uint8)

    on_white = tf.cond(has_alpha > 0, mixed, lambda: colours)
    return tf.broadcast_to(on_white, [shape[0], shape[1], 3])


def _lies_on_its_side(orientation: Any) -> tf.Tensor:
    return tf.greater_equal(orientation, 5)


def _turned_upright(pixels: tf.Tensor, orientation: Any) -> tf.Tensor:
    """Undo an EXIF orientation, 1 to 8: (h, w, 3) -> (h, w, 3), or (w, h, 3) from 5 on."""
    by_columns = [1, 0, 2]
    turns = (
        lambda: pixels,
        lambda: pixels[:, ::-1],
        lambda: pixels[::-1, ::-1],
        lambda: pixels[::-1],
        lambda: tf.transpose(pixels, by_columns),
        lambda: tf.transpose(pixels[::-1], by_columns),
        lambda: tf.transpose(pixels[::-1, ::-1], by_columns),
        lambda: tf.transpose(pixels[:, ::-1], by_columns),
    )
    return tf.switch_case(tf.convert_to_tensor(orientation, tf.int32) - 1, dict(enumerate(turns)))
