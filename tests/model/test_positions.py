"""Learned positions at other sizes: which way is up."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from crossframe.model.beyond import interpolate_grid
from crossframe.model.config import Resize
from crossframe.model.multi_frame import interpolate_time


def grid_of(rows: Tensor, columns: Tensor) -> Tensor:
    """(1 + N, 2): a class token's place of -1, then the row in the first channel and the column in the second."""
    places = torch.cartesian_prod(rows, columns)  # row by row
    return torch.cat([torch.full((1, 2), -1.0), places])


@pytest.mark.parametrize("resize", ["bicubic", "bicubic_smooth", "bilinear", "bilinear_smooth"])
@pytest.mark.parametrize("grid", [2, 3, 6, 8])
def test_a_grid_that_is_stretched_stays_upright(grid: int, resize: Resize) -> None:
    steps = torch.arange(4, dtype=torch.float32)
    stretched = interpolate_grid(grid_of(steps, 10 * steps), grid, resize=resize)
    assert stretched[0].tolist() == [-1, -1]
    rows, columns = stretched[1:].unflatten(0, (grid, grid)).unbind(dim=-1)
    torch.testing.assert_close(rows, rows[:, :1].expand(-1, grid), atol=1e-4, rtol=0)
    torch.testing.assert_close(columns, columns[:1].expand(grid, -1), atol=1e-4, rtol=0)
    torch.testing.assert_close(10 * rows[:, 0], columns[0], atol=1e-4, rtol=0)
    assert (rows[:, 0].diff() > 0).all()
    torch.testing.assert_close(rows.mean(), steps.mean())  # neither moved up nor down


def test_a_grid_that_shrinks_is_smoothed_as_a_picture_is() -> None:
    checks = (-1.0) ** torch.arange(8).repeat(8, 1).add(torch.arange(8)[:, None])  # of which a mean leaves nothing
    positions = torch.cat([torch.zeros(1), checks.flatten()])[:, None]
    assert interpolate_grid(positions, 4)[1:].abs().max() < 0.2
    assert interpolate_grid(positions, 3)[1:].abs().max() < 0.2
    assert interpolate_grid(positions, 3, resize="bilinear")[1:].abs().max() > 0.4  # and others are not


def test_places_without_a_class_token_are_all_stretched() -> None:
    steps = torch.arange(4, dtype=torch.float32)
    both = grid_of(steps, steps)
    torch.testing.assert_close(interpolate_grid(both[1:], 6, first=0), interpolate_grid(both, 6)[1:])


def test_time_is_linear_between_the_middles_of_segments() -> None:
    assert interpolate_time(torch.tensor([[0.0], [4.0]]), 4).flatten().tolist() == [0, 1, 3, 4]
