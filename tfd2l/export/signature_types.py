"""A model's signatures: their inputs and outputs by name, dtype and shape.

TensorFlow is not imported, so that clients can use these types without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Signature", "TensorSpec"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        tensor: its name in the graph, 'operation:index'; empty where a server gave none.
        dtype: TensorFlow's name, such as 'uint8' or 'string'.
        shape: sizes, None where any size is allowed; None for any rank.
    """

    tensor: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A signature's inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    @property
    def method(self) -> Literal["classify", "regress", "predict"]:
        """The call of TensorFlow Serving that the signature is for.

        The names of inputs and outputs decide: TensorFlow 2 marks every signature as one for
        Predict, and the server goes by the names too.
        """
        if set(self.inputs) == {"inputs"} and self.inputs["inputs"].dtype == "string":
            if set(self.outputs) == {"classes", "scores"}:
                return "classify"
            if set(self.outputs) == {"outputs"}:
                return "regress"
        return "predict"

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Names, dtypes and shapes as JSON values."""
        return {
            side: {
                name: {"dtype": spec.dtype, "shape": None if spec.shape is None else [*spec.shape]}
                for name, spec in specs.items()
            }
            for side, specs in (("inputs", self.inputs), ("outputs", self.outputs))
        }
