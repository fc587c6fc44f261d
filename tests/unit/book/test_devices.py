"""tfd2l/book/devices.py, as far as a machine without a GPU can test it."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tests.support.warm import run_warm
from tfd2l.book.devices import (
    DeviceError,
    check_placement,
    choose_device,
    cpu,
    gpu,
    try_all_gpus,
    try_gpu,
)

pytestmark = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="these cases are of a machine without one"
)


def test_without_a_gpu_the_cpu_is_chosen_by_0_and_by_none() -> None:
    assert choose_device(None) == choose_device(0) == "/CPU:0"


@pytest.mark.parametrize(
    ("num_gpus", "message"),
    [(1, "sees none"), (2, "got 2"), (-1, "got -1"), (True, "got True"), ("1", "got '1'")],
)
def test_devices_that_do_not_exist_are_refused(num_gpus: object, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        choose_device(num_gpus)  # type: ignore[arg-type]  # wrong types are among the cases


def test_variables_on_another_kind_of_device_are_refused_by_name() -> None:
    variable = tf.Variable(1.0, name="scale")
    check_placement([variable], "/CPU:0")
    with pytest.raises(DeviceError, match=r"runs on GPU, but the variable 'scale:0' is on CPU"):
        check_placement([variable], "/GPU:0")


def test_tensors_made_within_cpu_are_on_the_cpu() -> None:
    with cpu():
        assert "CPU:0" in tf.ones(2).device


def test_without_a_gpu_try_gpu_uses_the_cpu_and_gpu_is_refused() -> None:
    with try_gpu(10):
        assert "CPU:0" in tf.ones(2).device
    (only,) = try_all_gpus()
    with only:
        assert "CPU:0" in tf.ones(2).device
    with pytest.raises(DeviceError, match=r"gpu\(0\) needs at least 1 GPUs.* sees 0; try_gpu\(0\)"):
        gpu()


@pytest.mark.slow
def test_gpus_are_chosen_by_their_number() -> None:
    program = """
import tensorflow as tf
from tfd2l.book import devices

# Two logical CPUs in place of GPUs: the test is about their numbers.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
cpus = tf.config.list_logical_devices("CPU")
tf.config.list_logical_devices = lambda kind: cpus if kind == "GPU" else []
named = []
tf.device = lambda name: named.append(name) or name
devices.try_gpu(1), devices.try_gpu(2), devices.gpu(0), devices.try_all_gpus()
print(named)
"""
    process = run_warm("-c", program)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "['/GPU:1', '/CPU:0', '/GPU:0', '/GPU:0', '/GPU:1']\n"
