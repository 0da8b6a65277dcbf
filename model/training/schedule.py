"""What happens when during training: picture sizes, learning rate, how wild the views are."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Strength:
    """How far a view may stray from the photo.

    min_area: smallest crop, as a share of the photo's area.
    aspect: the crop's aspect relative to the photo's is drawn log-uniformly from 1/aspect to aspect.
    colour: brightness, contrast and saturation factors are drawn from 1-colour to 1+colour.
    degrees: largest rotation.
    erase, soften: probability of hiding a rectangle, of losing detail.
    """

    min_area: float = 0.35
    aspect: float = 1.5
    colour: float = 0.35
    degrees: float = 12.0
    erase: float = 0.25
    soften: float = 0.12


@dataclass(frozen=True)
class Stage:
    """`epochs` passes over the photos at `side` pixels; `mixup` is the share of batches that are blended."""

    epochs: int
    side: int
    strength: Strength
    mixup: float


@dataclass(frozen=True)
class Cycle:
    """Stages under one rise and fall of the learning rate: `warmup` epochs up to `lr`, half a cosine down to zero."""

    lr: float
    warmup: float
    stages: tuple[Stage, ...]

    @property
    def epochs(self) -> int:
        """Epochs of all its stages."""
        return sum(stage.epochs for stage in self.stages)

    def lr_at(self, epoch: float) -> float:
        """Learning rate at a fractional epoch of the cycle."""
        if epoch < self.warmup:
            return self.lr * (epoch + 0.05) / (self.warmup + 0.05)
        done = (epoch - self.warmup) / (self.epochs - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True)
class Plan:
    """A whole run: cycles one after the other (warm restarts: Loshchilov and Hutter 2017, arXiv:1608.03983).

    blocks: residual blocks of the network at each width. batch: photos a step. smoothing: label smoothing.
    average: decay of the running average of the weights a step. taught: share of the target that is the teacher's
    answer to the very same view; the rest is the photo's label (Hinton et al. 2015, arXiv:1503.02531).
    instead: (block, the teacher's block that it starts as), where that is not the one of its own name.
    blend: the trained weights' part in the result; the rest is what it started as, which errs on other photos
    (Wortsman et al. 2022, arXiv:2109.01903).
    """

    blocks: tuple[int, ...]
    cycles: tuple[Cycle, ...]
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.05
    average: float = 0.998
    taught: float = 0.0
    instead: tuple[tuple[str, str], ...] = ()
    blend: float = 1.0

    @property
    def epochs(self) -> int:
        """Epochs of all cycles."""
        return sum(cycle.epochs for cycle in self.cycles)

    def _cycle(self, epoch: float) -> tuple[Cycle, float]:
        for cycle in self.cycles:
            if epoch < cycle.epochs:
                return cycle, epoch
            epoch -= cycle.epochs
        return self.cycles[-1], float(self.cycles[-1].epochs)

    def stage(self, epoch: int) -> Stage:
        """The stage that epoch number `epoch` (from 0) belongs to."""
        cycle, left = self._cycle(epoch)
        for stage in cycle.stages:
            if left < stage.epochs:
                return stage
            left -= stage.epochs
        return cycle.stages[-1]

    def lr_at(self, epoch: float) -> float:
        """Learning rate at a fractional epoch of the run."""
        cycle, left = self._cycle(epoch)
        return cycle.lr_at(left)


_FULL = Strength()
_LATE = Strength(min_area=0.5, aspect=1.4, colour=0.25, degrees=8, erase=0.1, soften=0.1)
# As photos are posted, nearly.
CALM = Strength(min_area=0.8, aspect=1.15, colour=0.1, degrees=3, erase=0.0, soften=0.05)

# Trained from scratch; too slow to serve at the speed we ask for, so it teaches the network that ships.
TEACHER = Plan(
    blocks=(1, 2, 3, 0),
    cycles=(
        Cycle(
            lr=0.2,
            warmup=3,
            stages=(
                Stage(30, 80, _FULL, mixup=0.3),
                Stage(34, 96, _FULL, mixup=0.3),
                Stage(30, 112, _FULL, mixup=0.3),
                Stage(6, 112, _LATE, mixup=0.0),
            ),
        ),
        Cycle(
            lr=0.05,
            warmup=1,
            stages=(
                Stage(9, 128, _FULL, mixup=0.3),
                Stage(5, 128, _LATE, mixup=0.0),
            ),
        ),
    ),
)

# The teacher without the one block that it misses least: of the photos, 0.1 % get another answer even before training.
SHIPPED = Plan(
    blocks=(1, 2, 2, 0),
    instead=(("stage3_block2", "stage3_block3"),),
    taught=0.7,
    blend=0.75,
    smoothing=0.0,
    cycles=(
        Cycle(
            lr=0.01,
            warmup=0.5,
            stages=(
                Stage(4, 128, _FULL, mixup=0.3),
                Stage(6, 128, _LATE, mixup=0.0),
            ),
        ),
    ),
)
