"""A model server for the demo: one classifier behind the Open Inference Protocol, version 2, over HTTP.

Responsible for: training at start, the protocol's answers, refusing what is not an inference request.
Does not know: the router, the other model, arms.

Rules: it listens only once it is trained, and then prints its base URL as one line; a request that cannot be
answered gets the protocol's ``{"error": …}`` with 400 or 404, never a stack trace. After SIGUSR1 it is ill: three of
five inferences get 503, as those of a build that leaks or has lost its cache do.
Run as ``python -m router.demo.model --model simple|better [--port N] [--until-stdin-closes]``.
"""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import uvloop
from aiohttp import web
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from router.demo.digits import MODEL, PIXELS, Digits, load

BATCH_MAX = 1024
ILL = (True, True, False, True, False)  # which of five inferences fail
VERSIONS = {"simple": "naive-bayes", "better": "support-vectors"}


class Tensor(msgspec.Struct, frozen=True):
    """An input of an inference request."""

    name: str
    shape: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)]
    datatype: Literal["FP32", "FP64"]
    data: list[Any]


class InferRequest(msgspec.Struct, frozen=True):
    """What is posted to ``/v2/models/digits/infer``; unknown members are the protocol's optional ones."""

    inputs: Annotated[list[Tensor], msgspec.Meta(min_length=1, max_length=1)]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained classifier and its version."""

    version: str
    estimator: Any

    def labels(self, images: Any) -> list[int]:
        """Return the digit that each row of 64 grey values shows."""
        predicted: list[int] = self.estimator.predict(images).tolist()
        return predicted


def train(name: str, digits: Digits) -> Classifier:
    """Fit the ``simple`` or the ``better`` model to the training half."""
    estimator = GaussianNB() if name == "simple" else SVC(gamma=0.001)
    estimator.fit(digits.train_images, digits.train_labels)
    return Classifier(VERSIONS[name], estimator)


def images_of(tensor: Tensor) -> Any:
    """Return the tensor as an array of ``[n, 64]``.

    Raises:
        ValueError: shape and data do not agree, or are not images; the message says which.
    """
    rows, columns = (1, tensor.shape[0]) if len(tensor.shape) == 1 else tensor.shape
    if columns != PIXELS or not 1 <= rows <= BATCH_MAX:
        raise ValueError(f"shape {tensor.shape} is not [n, {PIXELS}] with n from 1 to {BATCH_MAX}")
    try:
        flat = np.asarray(tensor.data, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise ValueError("data is not numbers, flat or in rows of equal length") from error
    if flat.size != rows * columns:
        raise ValueError(f"data holds {flat.size} numbers, shape {tensor.shape} needs {rows * columns}")
    if not np.isfinite(flat).all():
        raise ValueError("data holds a number that is not finite")
    return flat.reshape(rows, columns)


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


class Service:
    """The protocol's endpoints for one classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.ill = False
        self.asked = 0
        self.decoder = msgspec.json.Decoder(InferRequest)

    def application(self) -> web.Application:
        """Return the routes, with and without the model's version in the path."""
        application = web.Application(client_max_size=8 * 1024 * 1024)
        application.router.add_get("/v2", self.server)
        application.router.add_get("/v2/health/live", self.live)
        application.router.add_get("/v2/health/ready", self.ready)
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            application.router.add_get(model, self.metadata)
            application.router.add_get(f"{model}/ready", self.model_ready)
            application.router.add_post(f"{model}/infer", self.infer)
        return application

    async def server(self, _request: web.Request) -> web.Response:
        """Answer with the server's metadata."""
        return web.json_response({"name": "router-demo", "version": "1", "extensions": []})

    async def live(self, _request: web.Request) -> web.Response:
        """Answer that the process lives."""
        return web.json_response({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer that inference is possible: the model was trained before this server listened."""
        return web.json_response({"ready": True})

    async def metadata(self, request: web.Request) -> web.Response:
        """Answer with the model's inputs and outputs."""
        if (refusal := self._unknown(request)) is not None:
            return refusal
        return web.json_response(
            {
                "name": MODEL,
                "versions": [self.classifier.version],
                "platform": "scikit-learn",
                "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, PIXELS]}],
                "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
            }
        )

    async def model_ready(self, request: web.Request) -> web.Response:
        """Answer whether this model can be asked."""
        return self._unknown(request) or web.json_response({"name": MODEL, "ready": True})

    async def infer(self, request: web.Request) -> web.Response:
        """Answer with the digit that each image shows."""
        if (refusal := self._unknown(request)) is not None:
            return refusal
        self.asked += 1
        if self.ill and ILL[self.asked % len(ILL)]:
            return _refusal(503, "out of memory")
        try:
            asked = self.decoder.decode(await request.read())
            labels = self.classifier.labels(images_of(asked.inputs[0]))
        except (msgspec.DecodeError, ValueError) as error:
            return _refusal(400, str(error))
        answer: dict[str, Any] = {
            "model_name": MODEL,
            "model_version": self.classifier.version,
            "outputs": [{"name": "label", "datatype": "INT64", "shape": [len(labels)], "data": labels}],
        }
        if asked.id is not None:
            answer["id"] = asked.id
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def fall_ill(self) -> None:
        """Fail from now on."""
        self.ill = True

    def _unknown(self, request: web.Request) -> web.Response | None:
        model, version = request.match_info["model"], request.match_info.get("version")
        if model != MODEL:
            return _refusal(404, f'no model "{model}" is here; "{MODEL}" is')
        if version not in (None, self.classifier.version):
            return _refusal(404, f'no version "{version}" is here; "{self.classifier.version}" is')
        return None


async def serve(classifier: Classifier, port: int, *, until_stdin_closes: bool) -> None:
    """Listen on loopback, print the base URL, and answer until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    # The router keeps an unused connection for 4 s; a server that closed earlier would race with its next request.
    service = Service(classifier)
    loop.add_signal_handler(signal.SIGUSR1, service.fall_ill)
    runner = web.AppRunner(service.application(), access_log=None, keepalive_timeout=75)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        if until_stdin_closes:
            loop.add_reader(sys.stdin.fileno(), _read_stdin, end)
        await end.wait()
    finally:
        await runner.cleanup()


def _read_stdin(end: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        end.set()


def main(arguments: list[str] | None = None) -> int:
    """Train, then serve; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m router.demo.model", description="A model server for the demo.")
    parser.add_argument("--model", choices=sorted(VERSIONS), required=True)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="also end when standard input does")
    options = parser.parse_args(arguments)
    classifier = train(options.model, load())
    try:
        uvloop.run(serve(classifier, options.port, until_stdin_closes=options.until_stdin_closes))
    except OSError as error:
        sys.stderr.write(f"--port {options.port}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
