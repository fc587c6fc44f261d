"""Files of weights: read back, damaged, and of another kind."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfd2l as d2l
from tests.support.warm import run_warm
from tfd2l.common.arrays import FORMAT, read_weights, write_weights

WEIGHTS: list[np.ndarray[Any, Any]] = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array(7, np.float32),
    np.zeros((0, 2), np.int64),
]


def test_arrays_are_read_back_with_values_shapes_and_dtypes(tmp_path: Path) -> None:
    write_weights(tmp_path / "mlp.params", WEIGHTS, {"epoch": 3})
    found, about = read_weights(tmp_path / "mlp.params")
    assert about == {"epoch": 3}
    for one, same in zip(WEIGHTS, found, strict=True):
        np.testing.assert_array_equal(same, one)
        assert (same.dtype, same.shape) == (one.dtype, one.shape)
    assert [path.name for path in tmp_path.iterdir()] == ["mlp.params"]


def test_a_hundred_arrays_keep_their_order(tmp_path: Path) -> None:
    write_weights(tmp_path / "many", [np.array([number]) for number in range(100)])
    assert [int(array[0]) for array in read_weights(tmp_path / "many")[0]] == list(range(100))


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_weights(path, [np.random.default_rng(0).random((100, 100))])
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content if damage == "flipped" else content[:-1000])
    with pytest.raises(ValueError, match=r"weights' is damaged: its checksum is not that of its"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_strange_content_under_a_right_checksum_is_refused(content: bytes, tmp_path: Path) -> None:
    path, checksum = tmp_path / "weights", hashlib.sha256(content).hexdigest().encode()
    path.write_bytes(FORMAT + checksum + b"\n" + content)
    with pytest.raises(ValueError, match=r"weights' is not a file of weights, though its checksum"):
        read_weights(path)


def test_an_archive_that_unpacks_to_more_than_its_length_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, about=np.array("null"), a=np.zeros(10**6))
    checksum = hashlib.sha256(content.getvalue()).hexdigest().encode()
    (tmp_path / "bomb").write_bytes(FORMAT + checksum + b"\n" + content.getvalue())
    with pytest.raises(ValueError, match="compressed arrays"):
        read_weights(tmp_path / "bomb")


def test_an_archive_without_the_entry_about_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, array=np.zeros(3))
    content = buffer.getvalue()
    checksum = hashlib.sha256(content).hexdigest().encode()
    (tmp_path / "weights").write_bytes(FORMAT + checksum + b"\n" + content)
    with pytest.raises(ValueError, match="is not a file of weights, though .*about"):
        read_weights(tmp_path / "weights")


@given(st.data())
def test_any_change_of_a_file_is_detected(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights")
        write_weights(path, WEIGHTS, "about")
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] ^= data.draw(st.integers(1, 255))
        else:
            del content[place:]
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged|is not a file of weights"):
            read_weights(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", W=np.ones(2))
    with pytest.raises(ValueError, match="is not a file of weights; save_weights writes such"):
        read_weights(tmp_path / "weights.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of weights '.*none'"):
        read_weights(tmp_path / "none")


def test_weights_of_another_model_change_nothing(tmp_path: Path) -> None:
    d2l.MLPScratch(4, 3, 2, lr=0.1).save_weights(tmp_path / "weights")
    model = d2l.SoftmaxRegressionScratch(4, 3, lr=0.1)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"need shapes \[\(4, 3\), \(3,\)\]; got"):
        model.load_weights(tmp_path / "weights")
    for one, same in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(same, one)


@pytest.mark.slow
def test_weights_can_be_read_in_a_fresh_process(tmp_path: Path) -> None:
    model = d2l.MLPScratch(4, 3, 2, lr=0.1)
    model.save_weights(tmp_path / "weights")
    program = (
        "import sys, tfd2l as d2l\n"
        "model = d2l.MLPScratch(4, 3, 2, lr=0.1)\n"
        "model.load_weights(sys.argv[1])\n"
        "print(float(d2l.reduce_sum(model(d2l.ones((1, 4))))))"
    )
    process = run_warm("-c", program, tmp_path / "weights")
    assert process.returncode == 0, process.stderr
    assert float(process.stdout) == float(d2l.reduce_sum(model(d2l.ones((1, 4)))))
