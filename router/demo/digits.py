"""The data of the demo: scikit-learn's images of hand-written digits.

Responsible for: which images the models learn from and which ones are sent to them, and the request that sends one.
Does not know: models, HTTP.

Rules: the halves are disjoint and the same in every process and on every machine, so that accuracy is measured on
images no model has seen. The data comes with scikit-learn; nothing is downloaded.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

PIXELS = 64
MODEL = "digits"


@dataclass(frozen=True, slots=True)
class Digits:
    """Images as rows of 64 grey values in 0..16, with the digit that each one shows."""

    train_images: Any
    train_labels: Any
    test_images: Any
    test_labels: Any


@dataclass(frozen=True, slots=True)
class Question:
    """One image as a request body, and the answer that is right."""

    body: bytes
    label: int


def load() -> Digits:
    """Return both halves; each digit has the same share in both."""
    data = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        data.data, data.target, test_size=0.5, random_state=0, stratify=data.target
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def questions(digits: Digits) -> tuple[Question, ...]:
    """Return an inference request of one image for every test image."""
    return tuple(
        Question(body=_infer_request(image.tolist()), label=int(label))
        for image, label in zip(digits.test_images, digits.test_labels, strict=True)
    )


def _infer_request(pixels: list[float]) -> bytes:
    return msgspec.json.encode(
        {"inputs": [{"name": "image", "shape": [1, PIXELS], "datatype": "FP32", "data": pixels}]}
    )
