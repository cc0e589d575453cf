"""One drawn dog: twelve breeds by coat, ears and build; four poses; the box that it really covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import ImageDraw

from harness.data.crops import Box

Colour = tuple[int, int, int]
_NOSE: Colour = (24, 20, 20)


@dataclass(frozen=True)
class Breed:
    """What the dogs of a breed share. `ears`: floppy, pointed or round; `pattern`: solid, spots, bicolour or saddle."""

    name: str
    coat: Colour
    second: Colour
    ears: str
    pattern: str
    length: float

    @property
    def folder(self) -> str:
        """The breed's folder, named as in Stanford Dogs."""
        return f"n9{sum(map(ord, self.name)) % 10_000_000:07d}-{self.name}"


_WHITE, _CREAM, _GOLD, _RED = (240, 236, 228), (226, 200, 158), (206, 150, 84), (158, 84, 42)
_BROWN, _BLACK, _GREY, _BLUE = (98, 62, 40), (38, 34, 36), (140, 138, 140), (92, 104, 124)

BREEDS = (
    Breed("golden_drawhound", _GOLD, _CREAM, "floppy", "solid", 1.0),
    Breed("white_sketchdog", _WHITE, _CREAM, "pointed", "solid", 1.0),
    Breed("black_inkador", _BLACK, _GREY, "floppy", "solid", 1.0),
    Breed("spotted_dotmatian", _WHITE, _BLACK, "floppy", "spots", 1.05),
    Breed("tan_saddleback", _GOLD, _BLACK, "pointed", "saddle", 1.1),
    Breed("red_foxliner", _RED, _WHITE, "pointed", "bicolour", 0.95),
    Breed("brown_crayon_spaniel", _BROWN, _WHITE, "floppy", "bicolour", 1.0),
    Breed("long_sausagehound", _RED, _GOLD, "floppy", "solid", 1.7),
    Breed("grey_pencil_terrier", _GREY, _WHITE, "round", "solid", 0.9),
    Breed("blue_washdog", _BLUE, _WHITE, "pointed", "bicolour", 1.0),
    Breed("cream_pastel_pug", _CREAM, _BLACK, "round", "solid", 0.85),
    Breed("bernese_brushdog", _BLACK, _WHITE, "floppy", "bicolour", 1.1),
)


@dataclass
class _Pen:
    """Draws in the dog's own units (feet at y = 0, up is negative) and remembers what it covered."""

    canvas: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float
    turn: int
    xs: list[float] = field(default_factory=list)
    ys: list[float] = field(default_factory=list)

    def place(self, points: Sequence[tuple[float, float]], margin: float = 0.0) -> list[tuple[float, float]]:
        placed = [(self.x + self.turn * self.scale * px, self.y + self.scale * py) for px, py in points]
        for px, py in placed:
            self.xs += [px - margin, px + margin]
            self.ys += [py - margin, py + margin]
        return placed

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, colour: Colour) -> None:
        self.place([(cx - rx, cy - ry), (cx + rx, cy + ry)])
        px, py = self.x + self.turn * self.scale * cx, self.y + self.scale * cy
        self.canvas.ellipse(
            (px - rx * self.scale, py - ry * self.scale, px + rx * self.scale, py + ry * self.scale), fill=colour
        )

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        self.canvas.polygon(self.place(points), fill=colour)

    def limb(self, points: Sequence[tuple[float, float]], thick: float, colour: Colour) -> None:
        placed = self.place(points, thick * self.scale / 2)
        self.canvas.line(placed, fill=colour, width=max(2, int(thick * self.scale)), joint="curve")
        for px, py in placed:
            r = thick * self.scale / 2
            self.canvas.ellipse((px - r, py - r, px + r, py + r), fill=colour)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (int(a * (1 - share) + b * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def draw_dog(canvas: ImageDraw.ImageDraw, size: tuple[int, int], breed: Breed, random: np.random.Generator) -> Box:
    """Draw one dog somewhere in an image of `size` (width, height); the box of what it covers, within the image."""
    width, height = size
    pose = (_sit, _stand, _lie, _portrait)[int(random.choice(4, p=(0.35, 0.15, 0.05, 0.45)))]
    tall = height * (random.uniform(0.35, 0.55) if pose is _portrait else random.uniform(0.3, 0.5))
    x = width * (random.uniform(0.25, 0.75) if random.random() < 0.6 else random.choice((0.15, 0.85)))
    foot = height * (random.uniform(0.75, 1.05) if pose is _portrait else random.uniform(0.6, 0.99))
    pen = _Pen(canvas, x, foot, tall, 1 if random.random() < 0.5 else -1)
    coat = _mix(breed.coat, (255, 255, 255) if random.random() < 0.5 else (0, 0, 0), random.uniform(0, 0.12))
    pose(pen, breed, coat, random)
    return Box(
        int(np.clip(min(pen.xs), 0, width - 2)),
        int(np.clip(min(pen.ys), 0, height - 2)),
        int(np.clip(np.ceil(max(pen.xs)), 2, width)),
        int(np.clip(np.ceil(max(pen.ys)), 2, height)),
    )


def _coat(pen: _Pen, breed: Breed, cx: float, cy: float, rx: float, ry: float, random: np.random.Generator) -> None:
    """The breed's pattern within an ellipse of the body."""
    if breed.pattern == "spots":
        for _ in range(9):
            angle, far = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(0, 0.65))
            spot = random.uniform(0.02, 0.045)
            pen.ellipse(cx + rx * far * np.cos(angle), cy + ry * far * np.sin(angle), spot, spot, breed.second)
    elif breed.pattern == "saddle":
        pen.ellipse(cx, cy - ry * 0.3, rx * 0.75, ry * 0.62, breed.second)
    elif breed.pattern == "bicolour":
        pen.ellipse(cx, cy + ry * 0.45, rx * 0.6, ry * 0.5, breed.second)


def _sit(pen: _Pen, breed: Breed, coat: Colour, random: np.random.Generator) -> None:
    dark = _mix(coat, (0, 0, 0), 0.18)
    pen.limb([(-0.2, -0.08), (-0.36, -0.12), (-0.42, -0.26)], 0.06, dark)
    pen.ellipse(-0.06, -0.28, 0.22, 0.28, coat)
    _coat(pen, breed, -0.04, -0.32, 0.2, 0.24, random)
    pen.ellipse(-0.14, -0.12, 0.15, 0.12, dark)
    for leg in (0.03, 0.13):
        pen.limb([(leg, -0.32), (leg + 0.01, -0.04)], 0.085, coat)
        pen.ellipse(leg + 0.03, -0.03, 0.06, 0.03, coat if breed.pattern != "bicolour" else breed.second)
    _head(pen, breed, coat, 0.07 + random.uniform(-0.02, 0.03), -0.71, 0.21, random)


def _stand(pen: _Pen, breed: Breed, coat: Colour, random: np.random.Generator) -> None:
    long = 0.3 * breed.length
    dark = _mix(coat, (0, 0, 0), 0.18)
    pen.limb([(-long, -0.52), (-long - 0.12, -0.66), (-long - 0.14, -0.78)], 0.055, dark)
    for leg in (-long + 0.1, long - 0.02):
        pen.limb([(leg, -0.4), (leg, -0.04)], 0.08, dark)
    pen.ellipse(0, -0.44, long + 0.06, 0.17, coat)
    _coat(pen, breed, 0, -0.44, long, 0.15, random)
    for leg in (-long + 0.03, long - 0.09):
        pen.limb([(leg, -0.4), (leg, -0.04)], 0.085, coat)
        pen.ellipse(leg + 0.02, -0.03, 0.055, 0.03, coat if breed.pattern != "bicolour" else breed.second)
    pen.limb([(long - 0.02, -0.5), (long + 0.06, -0.62)], 0.16, coat)
    _head(pen, breed, coat, long + 0.1, -0.76 + random.uniform(-0.03, 0.04), 0.19, random)


def _lie(pen: _Pen, breed: Breed, coat: Colour, random: np.random.Generator) -> None:
    long = 0.42 * breed.length
    dark = _mix(coat, (0, 0, 0), 0.18)
    pen.limb([(-long, -0.08), (-long - 0.16, -0.04)], 0.055, dark)
    pen.ellipse(0, -0.2, long, 0.19, coat)
    _coat(pen, breed, 0, -0.2, long * 0.9, 0.17, random)
    pen.ellipse(-long * 0.55, -0.13, 0.16, 0.13, dark)
    pen.limb([(long * 0.6, -0.06), (long + 0.16, -0.05)], 0.09, coat)
    _head(pen, breed, coat, long + 0.02, -0.46 + random.uniform(-0.06, 0.06), 0.22, random)


def _portrait(pen: _Pen, breed: Breed, coat: Colour, random: np.random.Generator) -> None:
    pen.ellipse(0, -0.12, 0.36, 0.3, coat)
    _coat(pen, breed, 0, -0.1, 0.3, 0.26, random)
    _head(pen, breed, coat, random.uniform(-0.03, 0.03), -0.6, 0.33, random)


def _head(pen: _Pen, breed: Breed, coat: Colour, cx: float, cy: float, r: float, random: np.random.Generator) -> None:
    """Ears, skull, muzzle, nose, mouth and eyes, seen nearly from the front."""
    dark = _mix(coat, (0, 0, 0), 0.3) if sum(coat) > 200 else _mix(coat, (255, 255, 255), 0.16)
    ear = breed.second if breed.pattern in ("spots", "saddle") else dark
    look = random.uniform(0.0, 0.18) * r
    if breed.ears == "pointed":
        for side in (-1, 1):
            corners = ((0.85, -0.3), (0.72, -1.4), (0.12, -0.8))
            pen.polygon([(cx + side * x * r, cy + y * r) for x, y in corners], ear)
    elif breed.ears == "round":
        for side in (-1, 1):
            pen.ellipse(cx + side * 0.72 * r, cy - 0.72 * r, 0.36 * r, 0.36 * r, ear)
    pen.ellipse(cx, cy, 0.95 * r, r, coat)
    if breed.pattern == "bicolour":
        pen.ellipse(cx + look, cy - 0.2 * r, 0.2 * r, 0.7 * r, breed.second)
    if breed.ears == "floppy":
        for side in (-1, 1):
            pen.ellipse(cx + side * 0.9 * r, cy + 0.12 * r, 0.3 * r, 0.72 * r, ear)
    pale = breed.second if breed.pattern in ("bicolour", "saddle") else _mix(coat, (255, 248, 238), 0.4)
    muzzle = _mix(coat, (0, 0, 0), 0.7) if "pug" in breed.name else pale
    pen.ellipse(cx + look, cy + 0.42 * r, 0.5 * r, 0.42 * r, muzzle)
    if random.random() < 0.4:
        pen.ellipse(cx + look, cy + 0.72 * r, 0.17 * r, 0.24 * r, (214, 96, 110))
    pen.ellipse(cx + look, cy + 0.24 * r, 0.2 * r, 0.14 * r, _NOSE)
    for side in (-1, 1):
        eye = cx + side * 0.38 * r + look
        pen.ellipse(eye, cy - 0.2 * r, 0.17 * r, 0.17 * r, (246, 242, 236))
        pen.ellipse(eye + 0.02 * r, cy - 0.18 * r, 0.12 * r, 0.13 * r, (30, 20, 16))
