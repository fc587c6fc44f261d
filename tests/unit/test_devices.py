"""Where training runs, as far as a machine without a GPU can tell."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tfd2l.devices import DeviceError, check_placement, choose_device

pytestmark = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="these cases are of a machine without one"
)


def test_without_a_gpu_the_cpu_is_chosen_whether_asked_for_or_not() -> None:
    assert choose_device(None) == choose_device(0) == "/CPU:0"


@pytest.mark.parametrize(
    ("num_gpus", "message"),
    [(1, "sees none"), (2, "got 2"), (-1, "got -1"), (True, "got True"), ("1", "got '1'")],
)
def test_what_cannot_be_had_is_refused(num_gpus: object, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        choose_device(num_gpus)  # type: ignore[arg-type]  # wrong types are among the cases


def test_variables_on_another_kind_of_device_are_refused_by_name() -> None:
    variable = tf.Variable(1.0, name="scale")
    check_placement([variable], "/CPU:0")
    with pytest.raises(DeviceError, match=r"runs on GPU, but the variable 'scale:0' lies on CPU"):
        check_placement([variable], "/GPU:0")
