"""pipelines/idx.py against bytes worked by hand, and against itself under mutation."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipelines.idx import IdxError, parse_idx, to_idx

LABELS = bytes.fromhex("00000801 00000003 090001")
IMAGES = bytes.fromhex("00000803 00000002 00000001 00000003 010203 040506")

arrays = st.one_of(
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 40))),
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 6))),
)


def test_labels_are_read_from_a_header_written_by_hand() -> None:
    labels = parse_idx(LABELS, name="labels")
    assert labels.dtype == np.uint8
    assert labels.tolist() == [9, 0, 1]


def test_images_are_read_from_a_header_written_by_hand_with_the_last_axis_fastest() -> None:
    images = parse_idx(IMAGES, name="images")
    assert images.dtype == np.uint8
    assert images.tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_the_array_can_not_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        parse_idx(LABELS, name="labels")[0] = 1


@given(arrays)
def test_written_arrays_are_read_back_unchanged(array: np.ndarray) -> None:
    again = parse_idx(to_idx(array), name="any")
    assert again.dtype == np.uint8
    assert again.shape == array.shape
    assert np.array_equal(again, array)


@given(arrays, st.data())
def test_mutated_bytes_give_an_error_or_exactly_what_they_say(
    array: np.ndarray, data: st.DataObject
) -> None:
    written = bytearray(to_idx(array))
    for _ in range(data.draw(st.integers(1, 3))):
        # Mostly in the header, where a change makes it disagree with the rest.
        last = data.draw(st.sampled_from([min(15, len(written) - 1), len(written) - 1]))
        written[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    mutated = bytes(written)
    try:
        result = parse_idx(mutated, name="mutated")
    except IdxError as error:
        assert str(error).startswith("mutated: ")
    else:
        # An array has one form as IDX, so a right reading writes the same bytes again.
        assert to_idx(result) == mutated


@given(arrays, st.data())
def test_a_file_cut_short_or_grown_is_refused(array: np.ndarray, data: st.DataObject) -> None:
    written = to_idx(array)
    cut = data.draw(st.integers(0, len(written) - 1))
    with pytest.raises(IdxError):
        parse_idx(written[:cut], name="cut")
    with pytest.raises(IdxError):
        parse_idx(written + data.draw(st.binary(min_size=1, max_size=20)), name="grown")


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("", "starts with 4 bytes of magic; got 0 bytes"),
        ("000008", "starts with 4 bytes of magic; got 3 bytes"),
        ("1f8b0800 00000000", "starts with two zero bytes; got 1f 8b"),
        ("00000d01 00000000", r"must be 0x08 \(uint8\); got 0x0d"),
        ("00000802 00000001 00000001 00", r"1 \(labels\) or 3 \(images\); got 2"),
        ("00000800 00", r"1 \(labels\) or 3 \(images\); got 0"),
        ("00000803 00000001 0000", "rank 3 has 16 bytes; got 10 bytes"),
        ("00000801 00000003 0102", "need a file of 11 bytes; got 10 bytes"),
    ],
)
def test_each_broken_rule_is_named_with_the_value_and_a_remedy(header: str, rule: str) -> None:
    with pytest.raises(IdxError, match=rule) as caught:
        parse_idx(bytes.fromhex(header), name="some-file")
    assert str(caught.value).startswith("some-file: ")
    assert "get it again" in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "00000801 80000000",
        "00000803 80000000 0000001c 0000001c",
        # The product is 2**96, and 0 in 64-bit arithmetic: a wrapped check would let it pass.
        "00000803 ffffffff ffffffff ffffffff",
        "00000803 80000000 80000000 00000004",
    ],
)
def test_a_header_that_claims_two_thousand_million_images_allocates_nothing(header: str) -> None:
    data = bytes.fromhex(header)
    tracemalloc.start()
    with pytest.raises(IdxError, match="need a file of"):
        parse_idx(data, name="huge")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_zero_images_are_accepted_unless_their_size_is_absurd() -> None:
    # NumPy multiplies the other dimensions although there are no images.
    absurd = bytes.fromhex("00000803 00000000 ffffffff ffffffff")
    with pytest.raises(IdxError, match=r"images: an empty array's dimensions must be small; got"):
        parse_idx(absurd, name="images")
    none = bytes.fromhex("00000803 00000000 0000001c 0000001c")
    assert parse_idx(none, name="images").shape == (0, 28, 28)


def test_only_uint8_of_rank_one_or_three_can_be_written() -> None:
    with pytest.raises(ValueError, match="got int64 of rank 1"):
        to_idx(np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="got uint8 of rank 2"):
        to_idx(np.zeros((3, 3), np.uint8))


def test_a_transposed_array_is_written_in_its_own_order() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3).transpose(0, 2, 1)
    assert parse_idx(to_idx(array), name="any").tolist() == [[[0, 3], [1, 4], [2, 5]]]
