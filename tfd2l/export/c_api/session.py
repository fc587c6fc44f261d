"""Runs a SavedModel by the C API of TensorFlow's runtime, without TensorFlow's Python package.

TensorFlow Serving loads models with this API's loader, which knows nothing of Python; the one
behind `tf.saved_model.load` accepts models that the server refuses. This file imports the standard
library and NumPy alone, for `program.py` runs it in an isolated process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Session", "SessionError", "load_library"]

Array = np.ndarray[Any, Any]

# NumPy's dtypes by the value of TF_DataType, tensorflow/c/tf_datatype.h.
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("float32"), 2: np.dtype("float64"), 3: np.dtype("int32"), 4: np.dtype("uint8"),
    5: np.dtype("int16"), 6: np.dtype("int8"), 9: np.dtype("int64"), 10: np.dtype("bool"),
    22: np.dtype("uint32"), 23: np.dtype("uint64"),
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_STRING = 7
# sizeof(TF_TString), tsl/platform/ctstring_internal.h.
_STRING_BYTES = 24
# Linux and macOS name the wheel's library differently.
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")


class SessionError(RuntimeError):
    """The runtime refused a model or a call; the text is the runtime's.

    Attributes:
        code: its TF_Code, tensorflow/c/tf_status.h; 3 is INVALID_ARGUMENT.
    """

    def __init__(self, text: str, code: int = 3) -> None:
        super().__init__(text)
        self.code = code


def load_library() -> ctypes.CDLL:
    """Load the runtime of the installed TensorFlow wheel, without importing the package.

    Raises:
        SessionError: TensorFlow isn't installed, or its wheel has no C++ library.
    """
    spec = importlib.util.find_spec("tensorflow")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        for name in _LIBRARIES:
            if (path := Path(folder, name)).exists():
                return _declare(ctypes.CDLL(str(path)))
    raise SessionError(
        f"the load check needs one of {', '.join(_LIBRARIES)} of TensorFlow's wheel; "
        f"looked in {folders or 'sys.path'}. Install tensorflow or tensorflow-cpu from a wheel."
    )


class Session:
    """A SavedModel loaded as TensorFlow Serving loads it: its MetaGraph tagged `serve`.

    Threads may run it at the same time; they wait for the runtime without holding Python's lock.
    """

    def __init__(self, library: ctypes.CDLL, directory: str) -> None:
        """Load the model; SessionError if the runtime can't."""
        self._library = library
        self._graph = library.TF_NewGraph()
        options = library.TF_NewSessionOptions()
        status = library.TF_NewStatus()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, os.fsencode(directory), tags, len(tags), self._graph, None, status
        )
        library.TF_DeleteSessionOptions(options)
        if self._session is None:
            library.TF_DeleteGraph(self._graph)
        self._check(status)

    def close(self) -> None:
        """Free the model's memory, once, when no run is under way and none will follow."""
        status = self._library.TF_NewStatus()
        self._library.TF_DeleteSession(self._session, status)
        self._library.TF_DeleteGraph(self._graph)
        self._check(status)

    def run(self, feeds: Mapping[str, Array], fetches: Mapping[str, str]) -> dict[str, Array]:
        """Run the graph once.

        Args:
            feeds: arrays by tensor name ('operation:index'); dtype object means strings (bytes).
            fetches: tensor names by the name of the output.

        Returns:
            Arrays by the name of the output; strings as dtype object.

        Raises:
            SessionError: the runtime refuses the call, or a tensor name is not in the graph.
        """
        library = self._library
        inputs = self._find(feeds)
        outputs = self._find(fetches.values())
        fed = (ctypes.c_void_p * len(feeds))(*(self._to_tensor(array) for array in feeds.values()))
        fetched = (ctypes.c_void_p * len(fetches))()
        status = library.TF_NewStatus()
        library.TF_SessionRun(
            self._session, None,
            inputs, fed, len(feeds),
            outputs, fetched, len(fetches),
            None, 0, None, status,
        )  # fmt: skip
        try:
            self._check(status)
            return {
                name: self._to_array(tensor) for name, tensor in zip(fetches, fetched, strict=True)
            }
        finally:
            for tensor in (*fed, *fetched):
                library.TF_DeleteTensor(tensor)

    def _find(self, names: Collection[str]) -> Any:
        """Return a C array of TF_Output with the tensors of these names."""
        found = (_Output * len(names))()
        for slot, name in zip(found, names, strict=True):
            operation, _, index = name.partition(":")
            slot.operation = self._library.TF_GraphOperationByName(self._graph, operation.encode())
            slot.index = int(index or 0)
            if not slot.operation:
                raise SessionError(f"the graph has no operation {operation!r}.")
        return found

    def _to_tensor(self, array: Array) -> int:
        """Return a new TF_Tensor with the array's values."""
        library = self._library
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        if array.dtype != np.object_:
            # Not ascontiguousarray, which makes a vector of a scalar.
            array = np.asarray(array, order="C")
            tensor = library.TF_AllocateTensor(_CODES[array.dtype], shape, array.ndim, array.nbytes)
            ctypes.memmove(library.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
            return int(tensor)
        tensor = library.TF_AllocateTensor(_STRING, shape, array.ndim, array.size * _STRING_BYTES)
        address = library.TF_TensorData(tensor) or 0
        for index, text in enumerate(array.ravel().tolist()):
            slot = address + index * _STRING_BYTES
            library.TF_StringInit(slot)
            # Not a copy, which nothing would free; the array keeps the text while the graph runs.
            library.TF_StringAssignView(slot, text, len(text))
        return int(tensor)

    def _to_array(self, tensor: int) -> Array:
        """Copy the tensor's values."""
        library = self._library
        code = library.TF_TensorType(tensor)
        shape = tuple(library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor)))
        data = library.TF_TensorData(tensor)
        size = library.TF_TensorByteSize(tensor)
        raw = ctypes.string_at(data, size) if size else b""
        if code == _STRING:
            return self._to_strings(raw, data).reshape(shape)
        if code not in _DTYPES:
            raise SessionError(
                f"an output has TensorFlow's data type number {code}, which is not read here; "
                f"those that are: {sorted([*_DTYPES, _STRING])}."
            )
        return np.frombuffer(raw, _DTYPES[code]).reshape(shape)

    def _to_strings(self, raw: bytes, address: int) -> Array:
        """Copy the strings of the TF_TStrings in `raw`, which are at this address."""
        # Equal records are equal strings, as a short string is stored in its record. Labels repeat,
        # and a string costs two calls, so each distinct one is read once.
        starts = range(0, len(raw), _STRING_BYTES)
        records = [raw[start : start + _STRING_BYTES] for start in starts]
        slots = dict(zip(records, starts, strict=True))
        texts = {record: self._string(address + start) for record, start in slots.items()}
        return np.array([texts[record] for record in records], np.object_)

    def _string(self, slot: int) -> bytes:
        """Copy the string of the TF_TString at this address."""
        size = self._library.TF_StringGetSize(slot)
        return ctypes.string_at(self._library.TF_StringGetDataPointer(slot), size)

    def _check(self, status: int) -> None:
        """Free the status; raise SessionError with its text unless it is OK."""
        code = self._library.TF_GetCode(status)
        message = self._library.TF_Message(status).decode(errors="replace")
        self._library.TF_DeleteStatus(status)
        if code != 0:
            raise SessionError(message, code)


class _Output(ctypes.Structure):
    """TF_Output: an operation and the index of one of its outputs."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


# A pointer to an object of the library's, or to an array.
_POINTER = ctypes.c_void_p
_INT = ctypes.c_int
_INT64 = ctypes.c_int64
_SIZE = ctypes.c_size_t
_TEXT = ctypes.c_char_p

# The types of the result and of the arguments, as in tensorflow/c: c_api.h, tf_tensor.h,
# tf_status.h and tf_tstring.h.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_GetCode": (_INT, [_POINTER]),
    "TF_Message": (_TEXT, [_POINTER]),
    "TF_DeleteStatus": (None, [_POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_DeleteGraph": (None, [_POINTER]),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, _TEXT]),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_DeleteSessionOptions": (None, [_POINTER]),
    "TF_LoadSessionFromSavedModel": (
        _POINTER, [_POINTER, _POINTER, _TEXT, _POINTER, _INT, _POINTER, _POINTER, _POINTER],
    ),
    "TF_SessionRun": (
        None,
        [_POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER, _POINTER, _INT, _POINTER, _INT,
         _POINTER, _POINTER],
    ),
    "TF_DeleteSession": (None, [_POINTER, _POINTER]),
    "TF_AllocateTensor": (_POINTER, [_INT, _POINTER, _INT, _SIZE]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_TensorType": (_INT, [_POINTER]),
    "TF_NumDims": (_INT, [_POINTER]),
    "TF_Dim": (_INT64, [_POINTER, _INT]),
    "TF_TensorByteSize": (_SIZE, [_POINTER]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringAssignView": (None, [_POINTER, _TEXT, _SIZE]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
}  # fmt: skip


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the types of the functions in use; ctypes would cut pointers to 32 bits."""
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
