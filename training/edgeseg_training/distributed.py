"""One global batch over the processes of a run: who takes which images, and how much each counts.

Every process goes through the same batches in the same order and takes its own part of each. So a
step sees the images that it would see in one process, and so does its gradient: the processes'
gradients are averaged, each weighed by its share of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import Sampler

if TYPE_CHECKING:
    import lightning


class Part(NamedTuple):
    """A process' part of a batch: its positions, ``start`` to ``stop``; there may be none.

    Attributes
    ----------
    weight
        Of the part's mean, so that the mean over the processes is that of the whole batch.
    """

    start: int
    stop: int
    weight: float


def part_of_batch(index: int, n_images: int, batch_size: int, rank: int, world: int) -> Part:
    """Return a process' part of a batch of an epoch, whose last batch may be a shorter one.

    Parameters
    ----------
    index
        Of the batch in the epoch.
    n_images
        Of the epoch.
    batch_size
        Images of a whole batch, over all processes.
    rank, world
        The process, from 0, and how many there are.
    """
    n_batch = min(batch_size, n_images - index * batch_size)
    start, stop = rank * n_batch // world, (rank + 1) * n_batch // world
    return Part(start, stop, (stop - start) * world / n_batch)


class DealtBatches(Sampler[list[Any]]):
    """Of each batch of a sampler's items the part of this process.

    Where a last batch has fewer images than there are processes, those without one repeat its
    first: every process must take every step, or the others wait for it. `part_of_batch` gives
    that image no weight.

    Parameters
    ----------
    sampler
        Yields the same items in every process. The trainer finds it by this name and tells it the
        epoch.
    batch_size
        Images of a whole batch, over all processes.
    trainer
        Knows its process' rank, once it runs, and how many there are.
    """

    def __init__(self, sampler: Sampler[Any], batch_size: int, trainer: lightning.Trainer) -> None:
        self.sampler, self.batch_size, self.trainer = sampler, batch_size, trainer

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[Any]]:
        items, size = list(self.sampler), self.batch_size
        rank, world = self.trainer.global_rank, self.trainer.world_size
        for index in range(len(self)):
            batch = items[index * size : (index + 1) * size]
            part = part_of_batch(index, len(items), size, rank, world)
            yield batch[part.start : part.stop] or batch[:1]


def gather(items: list[Any]) -> list[Any]:
    """Return the items of all processes, in every process; must be called in all of them."""
    gathered: list[list[Any]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(gathered, items)
    return [item for each in gathered for item in each]
