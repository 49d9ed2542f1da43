"""The model server's answers, without a socket."""

import asyncio
from typing import Any

import msgspec
import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from router.demo.digits import Digits, load, questions
from router.demo.model import Classifier, Service, train


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Return the data, loaded once."""
    return load()


@pytest.fixture(scope="module")
def simple(digits: Digits) -> Classifier:
    """Return the simple model, trained once."""
    return train("simple", digits)


def answer(classifier: Classifier, body: bytes, **match: str) -> tuple[int, Any]:
    """Post a body to the inference endpoint; return status and decoded answer."""

    async def post() -> web.Response:
        loop = asyncio.get_running_loop()
        payload = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
        payload.feed_data(body)
        payload.feed_eof()
        request = make_mocked_request(
            "POST", "/v2/models/digits/infer", match_info={"model": "digits", **match}, payload=payload
        )
        return await Service(classifier).infer(request)

    response = asyncio.run(post())
    assert isinstance(response.body, bytes)
    return response.status, msgspec.json.decode(response.body)


def _request_body(shape: list[int], data: Any, **members: Any) -> bytes:
    tensor = {"name": "image", "shape": shape, "datatype": "FP32", "data": data, **members}
    return msgspec.json.encode({"id": "q-1", "inputs": [tensor]})


def test_no_image_is_in_both_halves(digits: Digits) -> None:
    """Accuracy is measured on images that no model has learned."""
    learned = {image.tobytes() for image in digits.train_images}
    assert not learned & {image.tobytes() for image in digits.test_images}


def test_the_better_model_is_better(digits: Digits, simple: Classifier) -> None:
    """The demo's arms differ, so that its table has something to show."""
    better = train("better", digits)
    scores = [float(model.estimator.score(digits.test_images, digits.test_labels)) for model in (simple, better)]

    assert scores[0] > 0.75
    assert scores[1] > scores[0] + 0.1


def test_a_question_is_an_inference_request(digits: Digits, simple: Classifier) -> None:
    """What the users send is answered with the label that the model gives."""
    status, answered = answer(simple, questions(digits)[0].body)

    expected = simple.labels(digits.test_images[:1])
    assert status == 200
    assert answered["model_name"] == "digits"
    assert [{"name": "label", "datatype": "INT64", "shape": [1], "data": expected}] == answered["outputs"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_batch_is_answered_row_by_row(digits: Digits, simple: Classifier, nested: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """Flat data and rows mean the same; the id comes back."""
    images = digits.test_images[:3]
    status, answered = answer(simple, _request_body([3, 64], (images if nested else images.reshape(-1)).tolist()))

    assert (status, answered["id"]) == (200, "q-1")
    assert simple.labels(images) == answered["outputs"][0]["data"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (_request_body([1, 63], [0.0] * 63), "is not [n, 64]"),
        (_request_body([0, 64], []), "is not [n, 64]"),
        (_request_body([10**9, 64], []), "is not [n, 64]"),
        (_request_body([2, 64], [0.0] * 64), "shape [2, 64] needs 128"),
        (_request_body([1, 64], ["grey"] * 64), "not numbers"),
        (_request_body([1, 64], [[0.0] * 32, [0.0] * 31]), "not numbers"),
        (_request_body([1, 64], [None] * 64), "not finite"),
        (_request_body([1, 64], [0.0] * 64, datatype="BYTES"), "BYTES"),
    ],
)
def test_what_is_no_inference_request_is_refused_with_the_reason(simple: Classifier, body: bytes, reason: str) -> None:
    """Bad input gets the protocol's 400 and says what is wrong."""
    status, answered = answer(simple, body)

    assert status == 400
    assert reason in answered["error"]


def test_another_model_or_version_is_not_found(simple: Classifier) -> None:
    """Only the model that runs here answers, under its own version."""
    body = _request_body([1, 64], [0.0] * 64)

    assert answer(simple, body, model="ranker")[0] == 404
    assert answer(simple, body, version="support-vectors")[0] == 404
    assert answer(simple, body, version="naive-bayes")[0] == 200
