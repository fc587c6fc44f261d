"""Sends a server the requests in which it may differ from the docs, and prints what it answers.

    python -m tests.robustness.serving_probes --url http://127.0.0.1:8501 [--directory savedmodels/]

The server is TensorFlow Serving as `python -m tfd2l.deploy` configures it, or the development
server; the header `Server` tells which. It has a classifier of 28 x 28 images and a regression of
two features. With --directory, which the server watches, a broken version of the classifier is
published there and removed again. The exit status is 0 if all answers are as savedmodels/README.md
says.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

# Seconds to wait for an answer, and for a version to be loaded or not.
PATIENCE_S = 10
GOOD_CLIENTS = 6
IMAGE = [[0] * 28] * 28
PIXELS = {"image": {"b64": base64.b64encode(bytes(784)).decode()}}
SHORT = {"image": {"b64": base64.b64encode(bytes(700)).decode()}}


@dataclass(frozen=True)
class Target:
    """The server and its models.

    Attributes:
        url: without a slash at the end.
        classifier: the name of the model of images.
        regression: the name of the model of two features.
        directory: of the models; None if it is not to be written to.
        seconds: how long good requests are sent beside bad ones, and a repair is waited for.
    """

    url: str
    classifier: str
    regression: str
    directory: Path | None = None
    seconds: float = 2.0

    def post(self, path: str, body: Any) -> str:
        """Send a request; return the status, or that there was no answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            answer = requests.post(f"{self.url}/v1/models/{path}", data, timeout=PATIENCE_S)
        except requests.Timeout:
            return "no answer"
        return str(answer.status_code)

    def serves(self, model: str) -> bool:
        """Return True if the server has a model of this name."""
        return requests.get(f"{self.url}/v1/models/{model}", timeout=PATIENCE_S).status_code == 200

    def states(self) -> dict[str, str]:
        """Return the state of each version of the classifier."""
        url = f"{self.url}/v1/models/{self.classifier}"
        rows = requests.get(url, timeout=PATIENCE_S).json()["model_version_status"]
        return {row["version"]: row["state"] for row in rows}

    def is_development(self) -> bool:
        """The development server answers."""
        answer = requests.get(f"{self.url}/v1/models/{self.classifier}", timeout=PATIENCE_S)
        return "development" in answer.headers.get("Server", "")


@dataclass(frozen=True)
class Probe:
    """A request and its answer by the docs.

    Attributes:
        name: of the request, for a reader.
        run: sends it and returns the answer in a word or two.
        documented: the answer of TensorFlow Serving.
        development: that of the development server, where it differs on purpose.
    """

    name: str
    run: Callable[[Target], str]
    documented: str
    development: str | None = None


def beside(target: Target, method: str, good: Any, bad: Any) -> str:
    """Send good requests beside bad ones; return how many of the good ones failed."""
    path, over, statuses = f"{target.classifier}:{method}", threading.Event(), Counter[str]()

    def send(body: Any, count: bool) -> None:
        while not over.is_set():
            status = target.post(path, body)
            if count:
                statuses[status] += 1

    jobs = [(good, True)] * GOOD_CLIENTS + [(bad, False)]
    threads = [threading.Thread(target=send, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    time.sleep(target.seconds)
    over.set()
    for thread in threads:
        thread.join()
    good_ones = statuses.pop("200", 0)
    return "all 200" if good_ones and not statuses else f"{good_ones} times 200, {dict(statuses)}"


def predict_beside_wrong_shapes(target: Target) -> str:
    """One client sends images of 27 rows."""
    return beside(target, "predict", {"instances": [IMAGE]}, {"instances": [IMAGE[:27]]})


def classify_beside_short_bytes(target: Target) -> str:
    """One client sends images of 700 bytes."""
    good, bad = (
        {"signature_name": "classify", "examples": [example]} for example in (PIXELS, SHORT)
    )
    return beside(target, "classify", good, bad)


def empty_batch(target: Target) -> str:
    """Return whether there is any answer to a request without images."""
    status = target.post(f"{target.classifier}:predict", {"inputs": []})
    return status if status == "no answer" else "an answer"


def broken_version(target: Target) -> str:
    """Publish a version that can't be loaded, repair it in place, and return its states."""
    if target.directory is None:
        return "not tried"
    model = target.directory / target.classifier
    numbers = [int(path.name) for path in model.iterdir() if path.name.isdecimal()]
    good, new = model / str(max(numbers)), model / str(max(numbers) + 1)
    staging = model / ".serving-probe"
    shutil.copytree(good, staging)
    (staging / "saved_model.pb").write_bytes(b"broken")
    staging.rename(new)
    try:
        first = state_of(target, new.name, until="END")
        shutil.copyfile(good / "saved_model.pb", new / "saved_model.pb")
        second = state_of(target, new.name, until="AVAILABLE", patience_s=target.seconds)
        still = target.states().get(good.name)
    finally:
        # Hidden first, so that the server sees no half of it.
        new.rename(staging)
        shutil.rmtree(staging)
    return f"{first}, repaired {second}, the one before {still}"


def state_of(target: Target, version: str, *, until: str, patience_s: float = PATIENCE_S) -> str:
    """Return a version's state as soon as it is `until`, or after a while."""
    end = time.monotonic() + patience_s
    while (state := target.states().get(version, "unknown")) != until and time.monotonic() < end:
        time.sleep(0.1)
    return state


def predicting(body: Any) -> Callable[[Target], str]:
    """Make a probe of the classifier."""
    return lambda target: target.post(f"{target.classifier}:predict", body)


def predicting_floats(*features: float) -> Callable[[Target], str]:
    """Make a probe of the regression."""

    def run(target: Target) -> str:
        if not target.serves(target.regression):
            return "not tried"
        return target.post(f"{target.regression}:predict", {"instances": [features]})

    return run


def infinite_answer(target: Target) -> str:
    """Send a number beyond float32; return the status and the word for the answer."""
    if not target.serves(target.regression):
        return "not tried"
    url = f"{target.url}/v1/models/{target.regression}:predict"
    answer = requests.post(url, b'{"instances": [[1e39, 0]]}', timeout=PATIENCE_S)
    return f"{answer.status_code} {'Infinity' if 'Infinity' in answer.text else 'a number'}"


def classifying(other: str) -> Callable[[Target], str]:
    """Make a probe with a feature that the model does not use, given as JSON in Latin-1."""
    image = json.dumps(PIXELS["image"])
    examples = f'[{{"image": {image}, "other": {other}}}]'
    body = f'{{"signature_name": "classify", "examples": {examples}}}'.encode("latin-1")
    return lambda target: target.post(f"{target.classifier}:classify", body)


def version_beyond_int64(target: Target) -> str:
    """Address a version whose number has 30 digits."""
    return target.post(f"{target.classifier}/versions/{'9' * 30}:predict", {"instances": [IMAGE]})


GOOD_BODY = json.dumps({"instances": [IMAGE]}).encode()
PROBES = [
    Probe("good images beside images of 27 rows", predict_beside_wrong_shapes, "all 200"),
    Probe("good examples beside short ones", classify_beside_short_bytes, "all 200"),
    Probe("no image at all", empty_batch, "an answer"),
    Probe(
        "a version that can't be loaded",
        broken_version,
        "END, repaired END, the one before AVAILABLE",
    ),
    Probe("16777217 for float32", predicting_floats(16777217, 0), "200"),
    Probe("1e39 for float32", infinite_answer, "200 Infinity"),
    Probe("256 for uint8", predicting({"instances": [[[256] * 28] * 28]}), "200", "400"),
    Probe("-1 for uint8", predicting({"instances": [[[-1] * 28] * 28]}), "200", "400"),
    Probe("rubbish after the JSON object", predicting(GOOD_BODY + b" rubbish"), "200", "400"),
    Probe("an image of 27 rows", predicting({"instances": [IMAGE[:27]]}), "400"),
    Probe("an integer beyond int64 in an example", classifying(str(2**64)), "200", "400"),
    Probe("text that is not UTF-8", classifying('"\xff"'), "200", "400"),
    Probe("a version beyond int64", version_beyond_int64, "400"),
]


def run(target: Target, probes: Sequence[Probe]) -> int:
    """Send all requests and print a table; return how many answers are not as documented."""
    development, differences = target.is_development(), 0
    print(f"{target.url}: {'the development server' if development else 'TensorFlow Serving'}\n")
    print("| request | observed | documented | |\n|---|---|---|---|")
    for probe in probes:
        documented = probe.documented
        if development and probe.development is not None:
            documented = probe.development
        observed = probe.run(target)
        differs = observed not in (documented, "not tried")
        differences += differs
        print(f"| {probe.name} | {observed} | {documented} | {'DIFFERS' if differs else ''} |")
    return differences


def main(argv: Sequence[str] | None = None) -> int:
    """Read the flags; return the exit status: 1 for differences, 2 without server or model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8501", help="the server's address")
    parser.add_argument("--classifier", default="mlp", help="name of the model of images (mlp)")
    parser.add_argument("--regression", default="linear", help="name of the regression (linear)")
    parser.add_argument("--directory", type=Path, help="the models' directory, to write to")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of good requests beside bad ones (2)"
    )
    flags = parser.parse_args(argv)
    target = Target(
        flags.url.rstrip("/"), flags.classifier, flags.regression, flags.directory, flags.seconds
    )
    try:
        if not target.serves(target.classifier):
            print(f"error: {target.url} has no model {target.classifier!r}", file=sys.stderr)
            return 2
        return min(1, run(target, PROBES))
    except requests.ConnectionError:
        print(f"error: no server answers at {target.url}", file=sys.stderr)
    except requests.Timeout as error:
        print(f"error: {target.url} gives no answer in time: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
