"""Checks of raw images before they are sent, and the reading of a server's metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tfd2l.export.signature_types import Signature, TensorSpec
from tfd2l.predict.answers import (
    ServingError,
    VersionStatus,
    check_images,
    parse_signatures,
    parse_status,
)

GOOD = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256


@pytest.mark.parametrize("dtype", ["uint8", "int64", ">i4"])
def test_integers_in_range_pass_as_uint8(dtype: str) -> None:
    checked = check_images(GOOD.astype(dtype), (28, 28))
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, GOOD)


def test_lists_and_single_images_pass() -> None:
    np.testing.assert_array_equal(check_images(GOOD.tolist(), (28, 28)), GOOD)
    np.testing.assert_array_equal(check_images(GOOD[1], (28, 28)), GOOD[1:])


def test_a_side_that_the_model_leaves_open_may_have_any_length() -> None:
    assert check_images(GOOD[:, :5, :7], (None, 7)).shape == (2, 5, 7)
    with pytest.raises(ServingError, match=r"\(n, any, 7\).*got shape \(2, 28, 28\)"):
        check_images(GOOD, (None, 7))


def with_value(value: int) -> Any:
    images = GOOD.copy()
    images[1, 2, 3] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            GOOD / 255,
            r"got float64\. Convert them: .*, after np\.rint\(images \* 255\) if they are",
        ),
        (GOOD > 9, "got bool"),
        (None, "got object"),
        (with_value(256), "got 0 to 256, which the server would take modulo 256. Rescale"),
        (with_value(-1), "got -1 to 255, which"),
        (GOOD[..., None], r"got shape \(2, 28, 28, 1\)"),
        (GOOD[0, 0], r"\(n, 28, 28\), or \(28, 28\) for one image, .* got shape \(28,\)"),
        (GOOD.reshape(2, 14, 56), r"got shape \(2, 14, 56\).*read_image_file\(path, size\)"),
        (GOOD[:0].astype(np.uint8), r"got shape \(0, 28, 28\)"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "images",
)
def test_images_that_would_get_a_wrong_answer_are_refused(images: Any, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        check_images(images, (28, 28))


ANY_ARRAY = arrays_of.arrays(
    st.one_of(arrays_of.integer_dtypes(), arrays_of.unsigned_integer_dtypes(),
              arrays_of.floating_dtypes(), arrays_of.boolean_dtypes(),
              arrays_of.complex_number_dtypes(), arrays_of.unicode_string_dtypes(max_len=3),
              arrays_of.datetime64_dtypes()),
    arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)  # fmt: skip


@given(ANY_ARRAY, st.sampled_from([(2, 3), (None, None), (4, None)]))
def test_any_array_is_refused_or_keeps_its_values(
    array: Any, shape: tuple[int | None, int | None]
) -> None:
    try:
        checked = check_images(array, shape)
    except ServingError as error:
        assert "images must be" in str(error)
        return
    assert checked.ndim == 3
    assert checked.size
    np.testing.assert_array_equal(checked, array.reshape(checked.shape))


def test_signatures_are_read_from_metadata() -> None:
    image = {
        "name": "image:0",
        "dtype": "DT_UINT8",
        "tensor_shape": {"dim": [{"size": "-1"}, {"size": "28"}, {"size": "20"}]},
    }
    outputs = {
        "one": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [], "unknown_rank": False}},
        "two": {"dtype": "DT_STRING", "tensor_shape": {"dim": [], "unknown_rank": True}},
    }
    found = parse_signatures(
        {"signature_def": {"a": {"inputs": {"image": image}, "outputs": outputs}, "__init": {}}}
    )
    assert found == {
        "a": Signature(
            {"image": TensorSpec("image:0", "uint8", (None, 28, 20))},
            {"one": TensorSpec("", "float32", ()), "two": TensorSpec("", "string", None)},
        )
    }


def test_versions_are_sorted_by_their_numbers() -> None:
    def one(version: str, state: str, message: str) -> Any:
        status = {"error_code": "OK", "error_message": message}
        return {"version": version, "state": state, "status": status}

    answer = {"model_version_status": [one("10", "AVAILABLE", ""), one("9", "END", "too bad")]}
    assert parse_status(answer) == [
        VersionStatus(9, "END", "too bad"),
        VersionStatus(10, "AVAILABLE", ""),
    ]
