"""Graph: the jobs around a job, placed for a drawing: those it waits for, itself, and those that wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: The size of a node and the gaps between nodes, in units of the drawing.
WIDTH, HEIGHT, GAP_X, GAP_Y = 290, 46, 60, 12


class Node(NamedTuple):
    """A job in the drawing.

    Args:
        id: its id.
        queue: its queue.
        status: its state; "gone" if there is no record, "elsewhere" if it is not known here.
        label: its function.
        x, y: its upper left corner.

    """

    id: str
    queue: str
    status: str
    label: str
    x: int = 0
    y: int = 0


class Graph(NamedTuple):
    """The drawing.

    Args:
        nodes: all jobs but the one itself.
        center: the job itself.
        lines: paths between them.
        width, height: the size.

    """

    nodes: list[Node]
    center: Node
    lines: list[str]
    width: int
    height: int


def drawn(parents: Sequence[Node], center: Node, children: Sequence[Node]) -> Graph:
    """Place the jobs in columns: parents, the job, children."""
    rows = max(len(parents), len(children), 1)
    height = rows * HEIGHT + (rows - 1) * GAP_Y
    columns = [column for column in (parents, [center], children) if column]
    placed: list[list[Node]] = []

    for at, column in enumerate(columns):
        top = (height - len(column) * HEIGHT - (len(column) - 1) * GAP_Y) // 2
        placed.append(
            [
                node._replace(x=at * (WIDTH + GAP_X) + 1, y=top + row * (HEIGHT + GAP_Y) + 1)
                for row, node in enumerate(column)
            ]
        )

    middle = placed[1 if parents else 0][0]
    before = placed[0] if parents else []
    after = placed[-1] if children else []
    lines = [_line(node, middle) for node in before] + [_line(middle, node) for node in after]
    width = len(columns) * WIDTH + (len(columns) - 1) * GAP_X + 2

    return Graph([*before, *after], middle, lines, width, height + 2)


def _line(one: Node, other: Node) -> str:
    """A path from the right side of one node to the left side of another one."""
    x1, y1, x2, y2 = one.x + WIDTH, one.y + HEIGHT // 2, other.x - 5, other.y + HEIGHT // 2
    bend = (x1 + x2) // 2

    return f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"
