"""Labels of points, placed so that none lies on another, on a point, or outside the frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Size = Callable[[str], tuple[float, float]]


@dataclass(frozen=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, frame: Box) -> bool:
        """Whether it lies in `frame` as a whole."""
        return (
            self.left >= frame.left
            and self.right <= frame.right
            and self.top >= frame.top
            and self.bottom <= frame.bottom
        )


@dataclass(frozen=True)
class Placed:
    """A text and the rectangle that it fills."""

    text: str
    box: Box


def place(
    points: Sequence[tuple[float, float]],
    texts: Sequence[Sequence[str]],
    *,
    frame: Box,
    size: Size,
    radius: float = 6.0,
    avoid: Sequence[Box] = (),
) -> list[Placed | None]:
    """Per point the first of its `texts` that finds a free place around it, None where none does.

    The first points choose first. `avoid` are places that a label keeps off where it can, such as error bars.
    """
    marks = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    taken: list[Box] = []
    placed: list[Placed | None] = []
    for point, several in zip(points, texts, strict=True):
        found = None
        for text in several:
            free = [
                box
                for box in _around(point, size(text), radius)
                if box.inside(frame) and not any(box.overlaps(other) for other in (*marks, *taken))
            ]
            if free:
                found = Placed(text, min(free, key=lambda box: sum(box.overlaps(other) for other in avoid)))
                taken.append(found.box)
                break
        placed.append(found)
    return placed


def _around(point: tuple[float, float], size: tuple[float, float], radius: float) -> list[Box]:
    """Places for a text of `size` near `point`: right, left, above, below, then the corners, then farther off."""
    (x, y), (width, height) = point, size
    boxes = []
    for gap in (radius + 2, radius + 9):
        for across, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            slant = 0.75 if across and down else 1.0
            left = x - width / 2 if not across else x + gap * slant if across > 0 else x - gap * slant - width
            top = y - height / 2 if not down else y + gap * slant if down > 0 else y - gap * slant - height
            boxes.append(Box(left, top, left + width, top + height))
    return boxes
