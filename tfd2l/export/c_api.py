"""Run a SavedModel through TensorFlow's C API: the child program of the load check.

    python -I load_check.py REQUEST.npz ANSWER.npz

TensorFlow Serving loads models with this API's loader, which knows nothing of Python; the one
behind `tf.saved_model.load` accepts models that the server refuses. So this file is a program
of its own and imports the standard library and NumPy alone. `tfd2l.verify` starts it, and shares
`pack`, `unpack` and the file format with it. Without arguments the program gets ready and waits
for the two paths as lines of its standard input, so that the library loads while the parent
still writes the model.

Both files are made by `pack`. The request's message is
`{"directory": str, "calls": [{"feeds": {tensor: {"array": name, "rows": [start, stop] or null}},
"fetches": {output: tensor}}]}`; the answer's is `{"error": str or null, "calls": [...]}`, with one
of `{"error": str}` and `{"outputs": {output: name of array}}` for each call.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Session", "SessionError", "load_library", "main", "pack", "unpack"]

Array = np.ndarray[Any, Any]

# Values of TF_DataType, tensorflow/c/tf_datatype.h, and NumPy's names of them.
_NUMBERS = (1, 2, 3, 4, 5, 6, 9, 10, 22, 23)
_NAMES = ("f4", "f8", "i4", "u1", "i2", "i1", "i8", "?", "u4", "u8")
_DTYPES = {code: np.dtype(name) for code, name in zip(_NUMBERS, _NAMES, strict=True)}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_STRING = 7
# sizeof(TF_TString), tsl/platform/ctstring_internal.h.
_STRING_BYTES = 24
# Linux and macOS name the wheel's library differently.
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")


class SessionError(RuntimeError):
    """The runtime refused a model or a call; the text is its own.

    Attributes:
        code: its TF_Code, tensorflow/c/tf_status.h; 3 is INVALID_ARGUMENT.
    """

    def __init__(self, text: str, code: int = 3) -> None:
        super().__init__(text)
        self.code = code


def pack(path: Path | str, message: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a message (JSON values) and arrays to one npz file that needs no pickle to read.

    Arrays of dtype object hold `bytes`.
    """
    plain = {f"array/{name}": _without_objects(array) for name, array in arrays.items()}
    # A file object, because savez would add .npz to other names.
    with Path(path).open("wb") as file:
        np.savez(file, allow_pickle=False, message=np.array(json.dumps(message)), **plain)


def unpack(path: Path | str) -> tuple[Any, dict[str, Array]]:
    """The message and the arrays of a file that `pack` wrote."""
    with np.load(path, allow_pickle=False) as file:
        message = json.loads(file["message"].item())
        names = [name for name in file.files if name != "message"]
        return message, {name.removeprefix("array/"): _with_objects(file[name]) for name in names}


def load_library() -> ctypes.CDLL:
    """The runtime of the installed TensorFlow wheel, found without importing the package.

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


class _Output(ctypes.Structure):
    """TF_Output: an operation and the index of one of its outputs."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


_TYPES: dict[str, Any] = {
    "v": None,
    "p": ctypes.c_void_p,
    "i": ctypes.c_int,
    "z": ctypes.c_size_t,
    "q": ctypes.c_int64,
    "s": ctypes.c_char_p,
    "S": ctypes.POINTER(ctypes.c_char_p),
    "P": ctypes.POINTER(ctypes.c_void_p),
    "Q": ctypes.POINTER(ctypes.c_int64),
    "O": ctypes.POINTER(_Output),
}
# A function, then by letters of _TYPES its result and its arguments, as in tensorflow/c: c_api.h,
# tf_tensor.h, tf_status.h and tf_tstring.h.
_FUNCTIONS = """
    TF_NewGraph p  TF_DeleteGraph vp  TF_NewSessionOptions p  TF_DeleteSessionOptions vp
    TF_NewStatus p  TF_DeleteStatus vp  TF_GetCode ip  TF_Message sp
    TF_LoadSessionFromSavedModel pppsSippp  TF_DeleteSession vpp  TF_SessionRun vppOPiOPiPipp
    TF_GraphOperationByName pps  TF_AllocateTensor piQiz  TF_DeleteTensor vp  TF_TensorType ip
    TF_NumDims ip  TF_Dim qpi  TF_TensorByteSize zp  TF_TensorData pp
    TF_StringInit vp  TF_StringAssignView vpsz  TF_StringGetDataPointer pp  TF_StringGetSize zp
"""


class Session:
    """A SavedModel loaded as TensorFlow Serving loads it: its MetaGraph tagged `serve`.

    Threads may run it at the same time; they wait for the runtime without holding Python's lock.
    """

    def __init__(self, library: ctypes.CDLL, directory: str) -> None:
        """Load the model; SessionError if the runtime can't."""
        self._library = library
        self._graph, options = library.TF_NewGraph(), library.TF_NewSessionOptions()
        tags, status = (ctypes.c_char_p * 1)(b"serve"), library.TF_NewStatus()
        path = os.fsencode(directory)
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, path, tags, len(tags), self._graph, None, status
        )
        library.TF_DeleteSessionOptions(options)
        if self._session is None:
            library.TF_DeleteGraph(self._graph)
        self._raise(status)

    def close(self) -> None:
        """Free the model's memory, once, when no run is under way and none will follow."""
        status = self._library.TF_NewStatus()
        self._library.TF_DeleteSession(self._session, status)
        self._library.TF_DeleteGraph(self._graph)
        self._raise(status)

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
        library, answers = self._library, (ctypes.c_void_p * len(fetches))()
        sources, targets = self._ends(feeds), self._ends(fetches.values())
        inputs = (ctypes.c_void_p * len(feeds))(*(self._tensor(array) for array in feeds.values()))
        status = library.TF_NewStatus()
        ends = (sources, inputs, len(feeds), targets, answers, len(fetches))
        library.TF_SessionRun(self._session, None, *ends, None, 0, None, status)
        try:
            self._raise(status)
            return {name: self._array(end) for name, end in zip(fetches, answers, strict=True)}
        finally:
            for tensor in (*inputs, *answers):
                library.TF_DeleteTensor(tensor)

    def _ends(self, names: Collection[str]) -> Any:
        """A C array of TF_Output for tensor names."""
        found = (_Output * len(names))()
        for slot, name in zip(found, names, strict=True):
            operation, _, index = name.partition(":")
            slot.operation = self._library.TF_GraphOperationByName(self._graph, operation.encode())
            slot.index = int(index or 0)
            if not slot.operation:
                raise SessionError(f"the graph has no operation {operation!r}.")
        return found

    def _tensor(self, array: Array) -> int:
        """A new TF_Tensor with the array's values."""
        library, shape = self._library, (ctypes.c_int64 * array.ndim)(*array.shape)
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

    def _array(self, tensor: int) -> Array:
        """The tensor's values, copied."""
        library = self._library
        code = library.TF_TensorType(tensor)
        shape = tuple(library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor)))
        data, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
        raw = ctypes.string_at(data, size) if size else b""
        if code in _DTYPES:
            return np.frombuffer(raw, _DTYPES[code]).reshape(shape)
        if code != _STRING:
            raise SessionError(
                f"an output has TensorFlow's data type number {code}, which is not read here; "
                f"those that are: {sorted([*_DTYPES, _STRING])}."
            )
        # Records of equal bytes are equal strings (short ones are stored in the record itself), so
        # each is asked for once: a batch has few labels and the calls are slow.
        records = [raw[start : start + _STRING_BYTES] for start in range(0, size, _STRING_BYTES)]
        slots = {record: data + _STRING_BYTES * index for index, record in enumerate(records)}
        texts = {record: self._text(slot) for record, slot in slots.items()}
        return _objects([texts[record] for record in records], shape)

    def _text(self, slot: int) -> bytes:
        """The string at this address of a TF_TString."""
        size = self._library.TF_StringGetSize(slot)
        return ctypes.string_at(self._library.TF_StringGetDataPointer(slot), size)

    def _raise(self, status: int) -> None:
        """Free the status; raise what it says unless that is OK."""
        code = self._library.TF_GetCode(status)
        message = self._library.TF_Message(status).decode(errors="replace")
        self._library.TF_DeleteStatus(status)
        if code != 0:
            raise SessionError(message, code)


def main(arguments: list[str]) -> None:
    """Answer one request; a faulty model makes an answer too."""
    try:
        library, problem = load_library(), None
    except (SessionError, OSError) as error:
        library, problem = None, str(error)
    paths = arguments or [os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer]
    if not paths:
        # The parent gave up before it had a request.
        return
    message, arrays = unpack(paths[0])
    outputs: dict[str, Array] = {}
    calls: list[dict[str, Any]] = []
    if library is not None:
        try:
            session = Session(library, message["directory"])
            calls = [_call(session, call, arrays, outputs) for call in message["calls"]]
        except SessionError as error:
            problem = str(error)
    pack(paths[1], {"error": problem, "calls": calls}, outputs)


def _call(
    session: Session, call: Any, arrays: Mapping[str, Array], outputs: dict[str, Array]
) -> dict[str, Any]:
    """Make one call of the request; its arrays are added to `outputs`."""
    feeds = {}
    for tensor, feed in call["feeds"].items():
        array, rows = arrays[feed["array"]], feed["rows"]
        feeds[tensor] = array if rows is None else array[rows[0] : rows[1]]
    try:
        found = session.run(feeds, call["fetches"])
    except SessionError as error:
        return {"error": str(error)}
    names = {output: str(len(outputs) + index) for index, output in enumerate(found)}
    outputs.update({names[output]: array for output, array in found.items()})
    return {"outputs": names}


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the types of the functions in use; it would cut pointers to 32 bits."""
    words = _FUNCTIONS.split()
    for name, letters in zip(words[::2], words[1::2], strict=True):
        function = getattr(library, name)
        function.restype, *function.argtypes = (_TYPES[letter] for letter in letters)
    return library


def _without_objects(array: Array) -> Array:
    """Strings as NumPy's own type, with a point after each: it would drop a final NUL byte."""
    if array.dtype != np.object_:
        return array
    return np.array([text + b"." for text in array.ravel().tolist()], "S").reshape(array.shape)


def _with_objects(array: Array) -> Array:
    """What `_without_objects` was given."""
    if array.dtype.kind != "S":
        return array
    return _objects([text[:-1] for text in array.ravel().tolist()], array.shape)


def _objects(texts: list[bytes], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array.reshape(shape)


if __name__ == "__main__":
    main(sys.argv[1:])
    # The answer is on disk; the library's destructors would only take time.
    os._exit(0)
