"""A classifier of scikit-learn's handwritten digits with five tricks: a recipe that is one function.

harness ablate examples/digits/digits.yaml
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from harness import Run, recipe


@recipe(objective="accuracy", maximize=True, unit="epochs", budget={"epochs": 20})
def digits(
    run: Run,
    lr: Annotated[float, Field(gt=0, description="Learning rate of SGD with momentum.")] = 0.05,
    dropout: Annotated[float, Field(ge=0, lt=1, description="Before the last layer.")] = 0.0,
    batch_norm: Annotated[bool, Field(description="After each convolution.")] = False,
    shift: Annotated[int, Field(ge=0, le=2, description="Training images are moved by up to so many pixels.")] = 0,
    smoothing: Annotated[float, Field(ge=0, lt=1, description="Of the labels.")] = 0.0,
    cosine: Annotated[bool, Field(description="The learning rate falls to 0 along a cosine.")] = False,
) -> dict[str, float]:
    """300 digits to learn from, 1,497 to be judged by."""
    images, labels = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    images = (images.float() / 16).view(-1, 1, 8, 8)
    train, test = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split([300, 1497])

    def block(channels: int, filters: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(filters)] if batch_norm else []
        return [nn.Conv2d(channels, filters, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Dropout(dropout), nn.Linear(32 * 2 * 2, 10)]
    network = nn.Sequential(*block(1, 16), *block(16, 32), *head)
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    if (state := run.restore()) is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])

    accuracy = 0.0
    for epoch in run.until_budget():
        if cosine:
            optimizer.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * run.fraction)) / 2
        for batch in train[torch.randperm(len(train), generator=run.generator("order"))].split(50):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(moved(images[batch], shift, run)), labels[batch], label_smoothing=smoothing)
            loss.backward()
            optimizer.step()
        with run.untimed(), torch.no_grad():
            network.eval()
            accuracy = (network(images[test]).argmax(1) == labels[test]).float().mean().item()
            network.train()
        run.report(epoch, accuracy=accuracy, loss=loss)
        run.checkpoint({"network": network.state_dict(), "optimizer": optimizer.state_dict()})
    return {"accuracy": accuracy}


def moved(images: torch.Tensor, most: int, run: Run) -> torch.Tensor:
    """Each image moved by its own whole number of pixels, up to `most`, across and down."""
    if not most:
        return images
    padded = F.pad(images, [most] * 4)
    offsets = torch.randint(2 * most + 1, (len(images), 2), generator=run.generator("shift")).tolist()
    return torch.stack([each[:, y : y + 8, x : x + 8] for each, (y, x) in zip(padded, offsets, strict=True)])
