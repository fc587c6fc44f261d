"""Errors as one line."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tfd2l.common.errors import first_line, reason


def test_the_line_has_no_trace_of_autograph() -> None:
    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def wrong(X: tf.Tensor) -> tf.Tensor:
        if tf.reduce_sum(X) > 0:
            raise KeyError("the key")
        return tf.reshape(X, (X.shape[0], -1))

    with pytest.raises(Exception, match="the key") as caught:
        wrong.get_concrete_function(tf.TensorSpec((None,)))
    assert first_line(caught.value) == "KeyError: 'the key'"


def test_an_error_without_a_message_has_a_line_too() -> None:
    assert first_line(ValueError()) == "ValueError: no reason given"
    assert first_line(ValueError("one\ntwo")) == "ValueError: one"


def test_the_reason_of_an_error_in_python_names_its_place() -> None:
    def wrong(x: tf.Tensor) -> tf.Tensor:
        raise KeyError("two\nlines")

    with pytest.raises(tf.errors.UnknownError) as caught:
        tf.py_function(wrong, [tf.constant(1)], tf.int32)
    line = wrong.__code__.co_firstlineno + 1
    expected = f"KeyError: 'two\\nlines' (test_errors.py, line {line}, in wrong)"
    assert reason(caught.value) == expected


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_reason_has_neither_a_stack_nor_names_of_nodes(jit_compile: bool) -> None:
    unknown = tf.TensorSpec((None,))

    @tf.function(input_signature=[unknown], jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def wrong(X: tf.Tensor) -> tf.Tensor:
        return tf.reshape(X, (2, tf.shape(X)[0]))

    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        wrong(tf.ones(3))
    assert "reshape" in reason(caught.value)
    assert "\n" not in reason(caught.value)
    assert "{{" not in reason(caught.value)
    assert reason(ValueError("Exception encountered when calling f.\n\n\x1b[1mwhy\x1b[0m")) == "why"
    assert reason(ValueError()) == "no reason given"
