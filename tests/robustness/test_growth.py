"""The time of readers and of resuming grows with the size of the input, not with its square."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from pipelines.idx import parse_idx, to_idx
from pipelines.tables.csv_files import read_table
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import fit
from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.common.commands import MAX_FLAGS, UsageError
from tfd2l.deploy.models import ServedModel
from tfd2l.deploy.models_config import models_config, read_models_config
from tfd2l.engine.checkpoint import checkpoint_name, checkpoints
from tfd2l.engine.history import History
from tfd2l.engine.loaders import skip_passes
from tfd2l.engine.state import FitState, Point
from tfd2l.export.checksums import check_files, write_checksums
from tfd2l.export.versions import versions_in
from tfd2l.export.warmup import WarmupRequest, read_warmup, write_warmup
from tfd2l.predict.command import main as predict
from tfd2l.serve.requests import examples_of, parse_object, predict_inputs
from tfd2l.train.metrics_log import write_metrics
from tfd2l.train.records import read_record, write_record
from tfd2l.train.settings.flags import MAX_BYTES, parse

# A measurement of time, which a busy machine may disturb.
pytestmark = pytest.mark.long

Work = Callable[[], object]
# Four times the size takes four times as long, or 16 times if the time grows with the square.
FACTOR, MOST = 4, 9
# Shorter times are mostly noise.
SHORTEST_S = 0.002


def table(folder: Path, rows: int, columns: int) -> Path:
    path = folder / f"table-{rows}-{columns}.csv"
    header = ",".join(f"column {n}" for n in range(columns))
    row = ",".join(("1", "text", "")[n % 3] for n in range(columns))
    path.write_text("\n".join([header, *[row] * rows]) + "\n")
    return path


def csv_columns(folder: Path, n: int) -> Work:
    path = table(folder, 2, n)
    return lambda: read_table(path)


def csv_rows(folder: Path, n: int) -> Work:
    path = table(folder, n, 3)
    return lambda: read_table(path)


def csv_names(folder: Path, n: int) -> Work:
    frame = read_table(table(folder, 3, n)).fillna("0")
    return lambda: prepare(frame, fit(frame, standardize=True))


def idx(folder: Path, n: int) -> Work:
    data = to_idx(np.zeros((n, 28, 28), np.uint8))
    return lambda: parse_idx(data, name="images")


def weights(folder: Path, n: int) -> Work:
    write_weights(folder / str(n), [np.zeros(3)] * n)
    return lambda: read_weights(folder / str(n))


def state(folder: Path, n: int) -> Work:
    found = FitState.new()
    found.epoch = n
    found.history = History({name: [0.5] * n for name in ("epoch", "train_loss", "val_loss")})
    found.board.points = {"train_loss": [Point(0.5, 0.5)] * 2 * n}
    values = found.to_json()
    return lambda: FitState.from_json(values)


def history(folder: Path, n: int) -> Work:
    def grow() -> None:
        found = History()
        for epoch in range(n):
            found.append_row({"epoch": epoch, "loss": 0.5})

    return grow


def events(folder: Path, n: int) -> Work:
    trainer: Any = d2l.Trainer(n)
    trainer.model = d2l.LinearRegressionScratch(2, lr=0.03)
    trainer.model.board.curves.points = {"train_loss": [Point(0.5, 0.5)] * 2 * n}
    trainer.state.epoch, trainer.num_train_batches = n, 2
    trainer.history = History(epoch=[*map(float, range(n))], loss=[0.5] * n)
    return lambda: d2l.TensorBoard(folder).on_fit_begin(trainer)


def metrics(folder: Path, n: int) -> Work:
    rows = History(epoch=[*map(float, range(n))], loss=[0.5] * n)
    return lambda: write_metrics(folder, rows)


def shuffled_passes(folder: Path, n: int) -> Work:
    data = batched([np.arange(20.0), np.arange(20)], 4, shuffle=True)
    return lambda: skip_passes(data, n)


def record(folder: Path, n: int) -> Work:
    write_record(folder, {"settings": {str(key): 0 for key in range(n)}, "data": {}})
    return lambda: read_record(folder)


def names(folder: Path, n: int) -> Work:
    for number in range(n):
        (folder / checkpoint_name(number)).touch()
        (folder / str(number)).touch()
    return lambda: (checkpoints(folder), versions_in(folder))


def checksums(folder: Path, n: int) -> Work:
    for number in range(n):
        (folder / str(number)).touch()
    (folder / "assets.extra").mkdir(exist_ok=True)
    write_checksums(folder)
    return lambda: check_files(folder)


def warmup(folder: Path, n: int) -> Work:
    image = {"image": np.zeros((1, 28, 28), np.uint8)}
    write_warmup(folder / "file", "mlp", [WarmupRequest("predict", "serving_default", image)] * n)
    return lambda: read_warmup(folder / "file")


def config(folder: Path, n: int) -> Work:
    text = models_config(ServedModel(f"model{number}", (1, 2)) for number in range(n))
    return lambda: read_models_config(text)


def json_rows(folder: Path, n: int) -> Work:
    body = json.dumps({"instances": [{"x": [0.5], "y": 1}] * n}).encode()
    dtypes = {"x": "float32", "y": "int32"}
    return lambda: predict_inputs(parse_object(body), dtypes)


def json_columns(folder: Path, n: int) -> Work:
    body = json.dumps({"inputs": {"x": [[0.5, 1.5]] * n}}).encode()
    return lambda: predict_inputs(parse_object(body), {"x": "float32"})


def json_examples(folder: Path, n: int) -> Work:
    document = {"examples": [{f"feature{number % 50}": number} for number in range(n)]}
    return lambda: examples_of(document)


SIZES: dict[Callable[[Path, int], Work], int] = {
    csv_columns: 4000, csv_rows: 2000, csv_names: 100, idx: 10_000, weights: 100, state: 1000,
    history: 4000, events: 500, metrics: 1000, shuffled_passes: 500, record: 2000, names: 200,
    checksums: 100, warmup: 5, config: 500, json_rows: 2000, json_columns: 5000, json_examples: 500,
}  # fmt: skip


@pytest.mark.parametrize("reader", SIZES, ids=lambda reader: reader.__name__)
def test_four_times_the_size_takes_about_four_times_as_long(
    reader: Callable[[Path, int], Work], tmp_path: Path
) -> None:
    works = []
    for size in (SIZES[reader], FACTOR * SIZES[reader]):
        (tmp_path / str(size)).mkdir()
        works.append(reader(tmp_path / str(size), size))
    # TensorFlow loads and traces at the first use.
    works[0]()
    times = [math.inf, math.inf]
    # On a busy machine some measurements are too long, and none is too short.
    for _ in range(5):
        times = [min(pair) for pair in zip(times, map(seconds, works), strict=True)]
        if times[1] < MOST * max(times[0], SHORTEST_S):
            return
    raise AssertionError(f"{times[0]:.3f} s, and {times[1]:.3f} s for {FACTOR} times the size")


def seconds(work: Work) -> float:
    """The processor's time for a piece of work, which a busy machine does not change."""
    gc.collect()
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


@pytest.mark.parametrize(
    "text",
    [
        "a." * (MAX_BYTES // 2 - 4) + "a = 1",
        "a = [" * 3000,
        "".join(f"a{number}=1\n" for number in range(MAX_BYTES // 8)),
        "[" + "a." * (MAX_BYTES // 2 - 4) + "a]",
        "a = '" + "\\" * (MAX_BYTES - 10) + "'",
    ],
    ids=["dotted key", "lists", "unknown keys", "table", "text"],
)
def test_the_longest_settings_file_is_refused_in_seconds(text: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    assert path.stat().st_size <= MAX_BYTES

    def read() -> None:
        with pytest.raises(UsageError):
            parse(["--config", str(path)])

    # The time of a dotted key, which does grow with the square: 0.6 s.
    assert seconds(read) < 5


def test_more_flags_than_argparse_reads_in_a_moment_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError, match="expected at most 1000 flags"):
        parse(["--lr=1"] * (MAX_FLAGS + 1))
    # Images are no flags.
    assert predict([*["absent.png"] * 2 * MAX_FLAGS, "--dir", "absent"]) == 2
    assert "absent" in capsys.readouterr().err


def test_a_data_set_is_moved_on_by_a_hundred_thousand_passes_in_seconds() -> None:
    data = tf.data.Dataset.range(100).shuffle(100).batch(10)
    assert seconds(lambda: skip_passes(data, 100_000)) < 20
