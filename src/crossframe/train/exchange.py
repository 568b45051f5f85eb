"""Which clip is mixed with which, where the clips of a batch are spread over processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crossframe.distributed import Processes
from crossframe.model.layers import to_device


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one process sends and receives, so that each of its clips meets its partner.

    `rows`: its clips, in the order of the processes they are sent to; `sent`: how many go to each; `received`: how many
    come from each; `places`: for each of its own clips, where its partner is among those received.
    """

    rows: tuple[int, ...]
    sent: tuple[int, ...]
    received: tuple[int, ...]
    places: tuple[int, ...]

    def __call__(self, values: Tensor, processes: Processes) -> Tensor:
        """One row for each clip of this process -> the rows of their partners."""
        rows, places = (to_device(torch.tensor(n, dtype=torch.int64), values.device) for n in (self.rows, self.places))
        return processes.all_to_all(values[rows], self.sent, self.received)[places]


def plan_exchange(clips: Sequence[Sequence[int]], partners: Sequence[int], rank: int) -> Exchange:
    """The exchange of process `rank`, where process p has the clips `clips[p]`, by their places in the data set.

    Partners are drawn for all clips in the order of the data set: clip number i of these meets clip number
    `partners[i]`. So it does not matter how the clips came to their processes.

    >>> plan_exchange([[30, 10], [20]], [1, 2, 0], rank=0)  # 10 meets 20, 20 meets 30, 30 meets 10
    Exchange(rows=(1, 0), sent=(1, 1), received=(1, 1), places=(0, 1))
    """
    world = len(clips)
    ordered = sorted((clip, owner, row) for owner, own in enumerate(clips) for row, clip in enumerate(own))
    partner = {ordered[i][1:]: ordered[other][1:] for i, other in enumerate(partners)}
    needs = [[partner[owner, row] for row in range(len(own))] for owner, own in enumerate(clips)]  # by process
    rows = [[row for owner, row in needs[needer] if owner == rank] for needer in range(world)]
    mine = needs[rank]
    came = sorted(range(len(mine)), key=lambda own: mine[own][0])  # by sender, then in the order of one's own clips
    places = [0] * len(mine)
    for place, own in enumerate(came):
        places[own] = place
    return Exchange(
        tuple(row for part in rows for row in part),
        tuple(len(part) for part in rows),
        tuple(sum(owner == sender for owner, _ in mine) for sender in range(world)),
        tuple(places),
    )
