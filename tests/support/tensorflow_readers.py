"""The fuzzed readers that need TensorFlow: those of checkpoints, weights and exports."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.support.readers import Reader
from tfd2l.book.models.linear import LinearRegressionScratch
from tfd2l.common.arrays import FORMAT, read_weights, write_weights
from tfd2l.engine.checkpoint import load_checkpoint, save_checkpoint
from tfd2l.engine.errors import CheckpointError
from tfd2l.export.checksums import CHECKSUMS_FILE, DamagedError, check_files, write_checksums
from tfd2l.export.expected import image_examples
from tfd2l.export.saved_model import ExportError, read_signature_defs, read_signatures
from tfd2l.export.warmup import WarmupRequest, read_warmup, write_warmup
from tfd2l.train.records import RunError
from tfd2l.train.run_directory import EXPORT_FILE, RunDirectory


class Weights(Reader):
    """`read_weights`."""

    errors = (ValueError,)
    arrays = (np.arange(600, dtype=np.float32).reshape(20, 30), np.array(7), np.zeros((0, 2)))

    def samples(self) -> list[bytes]:
        write_weights(self.path, self.arrays, {"epoch": 3})
        return [self.path.read_bytes()]

    def read(self, data: bytes) -> None:
        found, about = read_weights(self.written(data))
        assert about == {"epoch": 3}
        for one, same in zip(self.arrays, found, strict=True):
            np.testing.assert_array_equal(same, one, strict=True)


class SignedWeights(Weights):
    """The same with damaged content under a right checksum."""

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        content = sample.partition(b"\n")[2]
        damaged = super().damaged(content, [content], chance)
        return FORMAT + hashlib.sha256(damaged).hexdigest().encode() + b"\n" + damaged

    def read(self, data: bytes) -> None:
        arrays, _ = read_weights(self.written(data))
        assert all(not array.dtype.hasobject for array in arrays)


class Checkpoint(Reader):
    """`load_checkpoint`, and a run's choice among its checkpoints."""

    errors = (CheckpointError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run = RunDirectory(folder / "run")
        self.model, self.other = (LinearRegressionScratch(50, lr=0.03) for _ in range(2))
        self.before = save_checkpoint(folder / "run/checkpoints", self.model, None, self.state(1))
        # Neither used nor removed.
        self.copy = self.before.with_name("epoch-00009.step-0000000.mybest")
        shutil.copy(self.before, self.copy)

    @staticmethod
    def state(epoch: int) -> dict[str, Any]:
        return {"epoch": epoch, "step": 0}

    def samples(self) -> list[bytes]:
        self.path = save_checkpoint(self.before.parent, self.model, None, self.state(2))
        return [self.path.read_bytes()]

    def read(self, data: bytes) -> None:
        said: list[str] = []
        self.written(data)
        before = self.other.get_weights()
        try:
            assert load_checkpoint(self.path, self.other) == self.state(2)
        except CheckpointError:
            # Checked after loading, since the run renames a checkpoint that it passes over.
            assert self.run.last_good_checkpoint(said.append) == self.before
            assert len(said) == 2
            assert self.copy.exists()
            for one, same in zip(before, self.other.get_weights(), strict=True):
                np.testing.assert_array_equal(same, one)
            raise
        assert self.run.last_good_checkpoint(said.append) == self.path
        assert len(said) == 1
        assert self.copy.name in said[0]
        for one, same in zip(self.model.get_weights(), self.other.get_weights(), strict=True):
            np.testing.assert_array_equal(same, one)


class ExportNote(Reader):
    """A run's `export.json`."""

    errors = (RunError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run = RunDirectory(folder / "run")
        self.path = folder / "run" / EXPORT_FILE

    def samples(self) -> list[bytes]:
        self.run.finish({"export": "savedmodels/mlp/1"})
        return [self.path.read_bytes()]

    def read(self, data: bytes) -> None:
        self.written(data)
        assert self.run.conclusion == {"export": "savedmodels/mlp/1", "best_checkpoint": None}


class Warmup(Reader):
    """`read_warmup`: damaged files, and valid files with damaged records."""

    errors = (ExportError,)
    requests = (
        WarmupRequest("predict", "serving_default", {"image": np.zeros((1, 28, 28), np.uint8)}),
        WarmupRequest(
            "classify", "classify", {"inputs": image_examples(np.zeros((2, 4, 4), np.uint8))}
        ),
    )

    def samples(self) -> list[bytes]:
        write_warmup(self.path, "mlp", self.requests)
        return [self.path.read_bytes()]

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        if chance.random() < 0.5:
            return super().damaged(sample, samples, chance)
        self.written(sample)
        records = [*tf.data.TFRecordDataset(str(self.path)).as_numpy_iterator()]
        records[0] = super().damaged(records[0], records, chance)
        with tf.io.TFRecordWriter(str(self.path)) as writer:
            for record in records:
                writer.write(record)
        return self.path.read_bytes()

    def read(self, data: bytes) -> None:
        for request in read_warmup(self.written(data)):
            assert request.method in ("predict", "classify", "regress")
            assert all(isinstance(array, np.ndarray) for array in request.inputs.values())


class Graph(Reader):
    """The project's own reading of `saved_model.pb`, without a version's checksum."""

    errors = (ExportError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "saved_model.pb"

    def samples(self) -> list[bytes]:
        module = tf.Module()
        spec = tf.TensorSpec((None, 2), tf.float32, name="features")
        module.serve = tf.function(lambda features: {"sum": features + 1}, input_signature=[spec])
        tf.saved_model.save(module, str(self.path.parent), signatures=module.serve)
        return [self.path.read_bytes()]

    def read(self, data: bytes) -> None:
        self.written(data)
        signatures = read_signatures(self.path.parent)
        assert "serving_default" in signatures
        assert {*signatures} <= {*read_signature_defs(self.path.parent)}


class Version(Reader):
    """The files of a published version, including the list of checksums."""

    errors = (DamagedError,)
    names = ("saved_model.pb", "variables/variables.index", str(CHECKSUMS_FILE))

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.version = folder / "1"
        for name in self.names[:2]:
            (self.version / name).parent.mkdir(parents=True, exist_ok=True)
            (self.version / name).write_bytes(name.encode() * 30)
        (self.version / CHECKSUMS_FILE).parent.mkdir()
        write_checksums(self.version)

    def samples(self) -> list[bytes]:
        return [(self.version / name).read_bytes() for name in self.names]

    def read(self, data: bytes) -> None:
        good = self.samples()
        # A guess at the file of which this is a damaged sample.
        number = 2 if b"files" in data or b"  " in data else len(data) % 2
        number = good.index(data) if data in good else number
        try:
            (self.version / self.names[number]).write_bytes(data)
            check_files(self.version)
        finally:
            (self.version / self.names[number]).write_bytes(good[number])
        assert data == good[number]


READERS: tuple[type[Reader], ...] = (
    Weights, SignedWeights, Checkpoint, ExportNote, Warmup, Graph, Version,
)  # fmt: skip
