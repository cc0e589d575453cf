"""A classifier of scikit-learn's handwritten digits with five tricks: a script that knows nothing of harness.

python train.py --batch-norm --dropout 0.5
harness ablate examples/digits/command.yaml
"""

from __future__ import annotations

import argparse
import json
import math

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F


def main() -> None:
    """300 digits to learn from, 1,497 to be judged by."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--cosine", action="store_true")
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    images, labels = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    images = (images.float() / 16).view(-1, 1, 8, 8)
    train, test = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split([300, 1497])

    def block(channels: int, filters: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(filters)] if given.batch_norm else []
        return [nn.Conv2d(channels, filters, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Dropout(given.dropout), nn.Linear(32 * 2 * 2, 10)]
    network = nn.Sequential(*block(1, 16), *block(16, 32), *head)
    optimizer = torch.optim.SGD(network.parameters(), lr=given.lr, momentum=0.9)

    for epoch in range(1, given.epochs + 1):
        if given.cosine:
            optimizer.param_groups[0]["lr"] = given.lr * (1 + math.cos(math.pi * (epoch - 1) / given.epochs)) / 2
        for batch in train[torch.randperm(len(train))].split(50):
            optimizer.zero_grad()
            logits = network(moved(images[batch], given.shift))
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=given.smoothing)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            network.eval()
            accuracy = (network(images[test]).argmax(1) == labels[test]).float().mean().item()
            network.train()
        print(json.dumps({"step": epoch, "accuracy": accuracy, "loss": loss.item()}))


def moved(images: torch.Tensor, most: int) -> torch.Tensor:
    """Each image moved by its own whole number of pixels, up to `most`, across and down."""
    if not most:
        return images
    padded = F.pad(images, [most] * 4)
    offsets = torch.randint(2 * most + 1, (len(images), 2)).tolist()
    return torch.stack([each[:, y : y + 8, x : x + 8] for each, (y, x) in zip(padded, offsets, strict=True)])


if __name__ == "__main__":
    main()
