"""The fuzzed readers of tables, settings and command lines."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import random
import tomllib

import numpy as np

from pipelines import house_prices
from pipelines.tables.csv_files import read_table
from pipelines.tables.dialect import NO_VALUE, Dialect
from pipelines.tables.errors import TableError
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import fit
from tests.support.readers import Reader
from tfd2l.common.commands import UsageError
from tfd2l.train.settings.config import ConfigError, TrainConfig
from tfd2l.train.settings.flags import parse

_KEYS = (
    b"self", b"values", b"settings", b"_cli_parse_args", b"_env_file", b"_secrets_dir", b"__init__",
    b"model_config", b"is_linear", b"''", b"'a b'", b"resume", b"config", b"help", b"Epochs",
)  # fmt: skip
_VALUES = (b"true", b"3", b"['--epochs', '7']", b"'x'", b"{a = 1}", b"1979-05-27", b"nan")


class Table(Reader):
    """`read_table`, `fit` and `prepare`."""

    errors = (TableError,)

    def samples(self) -> list[bytes]:
        return [
            b"Rooms,Roof,Price\nNA,NA,127500\n2,NA,106000\n4,Slate,178100\nNA,NA,140000\n",
            b'\xef\xbb\xbfa,b,a_b\r\n1,"x, y",1e-300\r\n-2.5e3,"say ""no""",1e300\r\n,b,3\r\n',
            b"n,y\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(40)),
        ]

    def read(self, data: bytes) -> None:
        frame_ = read_table(self.written(data), Dialect(sep=","))
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(lines, skipinitialspace=True)
            if row
        ]
        rows = rows[next(at for at, row in enumerate(rows) if row != [""]) :]
        # A line of spaces is an empty one, unless there is one column only.
        texts = [row for row in rows[1:] if row != [""] or len(rows[0]) == 1]
        assert len(frame_) == len(texts)
        statistics = fit(frame_, missing="impute", standardize=len(data) % 2 == 0)
        inputs, target = prepare(frame_, statistics)
        assert target is None
        assert list(inputs.columns) == statistics.columns
        assert len(set(statistics.columns)) == len(statistics.columns)
        assert np.isfinite(inputs.to_numpy()).all()
        if not statistics.deviations:
            for name in {*statistics.means} - {*statistics.dates}:
                at = rows[0].index(name)
                numbers = [float(row[at]) for row in texts if row[at] not in NO_VALUE]
                kept = inputs[name].to_numpy()[[row[at] not in NO_VALUE for row in texts]]
                np.testing.assert_allclose(kept, numbers, rtol=1e-15)


class Houses(Reader):
    """`house_prices.read`, `learn` and `apply`."""

    errors = (TableError,)

    def samples(self) -> list[bytes]:
        header = b"Id,MSSubClass,LotFrontage,Alley,GrLivArea,SalePrice\n"
        rows = [b"%d,%d,%d,%s,%d,%d\n" % (n, 20 + n % 2, 60 + n, (b"NA", b"Grvl")[n % 2], 900 + n,
                100_000 + 1000 * n) for n in range(1, 12)]  # fmt: skip
        return [header + b"".join(rows), header + rows[0].replace(b"61", b"NA") + rows[1]]

    def read(self, data: bytes) -> None:
        rows = house_prices.read(self.written(data))
        prepared = house_prices.apply(rows, house_prices.learn(rows))
        assert np.isfinite(prepared.inputs.to_numpy()).all()
        assert prepared.log_prices is not None
        prices = [math.log(float(price)) for price in rows[house_prices.TARGET]]
        np.testing.assert_allclose(prepared.log_prices, prices, rtol=1e-12)


class Settings(Reader):
    """A settings file."""

    errors = (ConfigError,)

    def samples(self) -> list[bytes]:
        return [
            b'model = "mlp"\nepochs = 10\nbatch-size = 256\nlr = 0.1\nnum_hiddens = 256\nseed = 0\n'
            b'resize = [28, 28]\ngradient_clip_val = 1.0\ndata_dir = "data"\ndevice = "cpu"\n',
            b'model = "linear"\nepochs = 3\nexport_dir = "savedmodels"\nrun_eagerly = true\n',
            b'model = "softmax"\nresize = "32x48"\njit_compile = false\ncheckpoint_every = 50\n'
            b'precision = "mixed_bfloat16"\nrun_dir = "runs/\xc3\xa9"\n',
        ]

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        data = super().damaged(sample, samples, chance)
        if chance.random() < 0.9:
            return data
        # Names that mean something to pydantic, which checks the settings.
        return b"%s = %s\n" % (chance.choice(_KEYS), chance.choice(_VALUES)) + sample

    def read(self, data: bytes) -> None:
        config = parse(["--config", str(self.written(data))])
        self.check(config)
        given = tomllib.loads(data.decode("utf-8-sig"))
        assert {key.replace("-", "_") for key in given} <= {*TrainConfig.model_fields}
        for name in ("epochs", "seed", "num_hiddens", "lr", "model", "device"):
            # A number may be written as text.
            if isinstance(value := given.get(name), int | float):
                assert getattr(config, name) == value
            elif value is not None:
                assert str(getattr(config, name)) == value or float(value) == getattr(config, name)

    @staticmethod
    def check(config: TrainConfig) -> None:
        """Check the documented limits, and that the configuration can be saved with a run."""
        assert 1 <= config.epochs <= 100_000
        assert 1 <= config.batch_size <= 1_000_000
        assert 0 < config.lr <= 1e6
        assert 1 <= config.num_hiddens <= 1_000_000
        assert all(1 <= side <= 4096 for side in config.resize)
        assert 0 <= config.gradient_clip_val <= 1e6
        assert 0 <= config.seed < 2**31
        assert config.checkpoint_every is None or config.checkpoint_every >= 1
        json.dumps(config.model_dump(mode="json"), allow_nan=False)
        for path in (config.data_dir, config.run_dir, config.export_dir, config.resume):
            # The system must accept the name; the file may be missing.
            with contextlib.suppress(OSError):
                _ = path is None or path.lstat()


class Flags(Settings):
    """A command line: arguments separated by NUL, which no argument can contain."""

    errors = (UsageError, SystemExit)  # type: ignore[assignment]

    def samples(self) -> list[bytes]:
        lines = [
            b"--model linear --epochs 3 --lr 0.03 --seed 7",
            b"--model mlp --resize 32x48 --batch-size=64 --num-hiddens 8 --no-jit-compile",
            b"--data-dir data --export-dir out --run-dir run --checkpoint-every 5 --run-eagerly",
            b"--resume runs/mlp-1",
            b"--device cpu --precision mixed_float16 --gradient-clip-val 1e-3",
        ]
        return [line.replace(b" ", b"\0") for line in lines]

    def read(self, data: bytes) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            try:
                config = parse([os.fsdecode(argument) for argument in data.split(b"\0")])
            except SystemExit as end:
                assert end.code == 0
                assert "usage: python -m tfd2l.train" in said.getvalue()
                return
        self.check(config)


READERS: tuple[type[Reader], ...] = (Table, Houses, Settings, Flags)
