"""What happens when during training: picture sizes, learning rate, how wild the views are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .augment import Strength


@dataclass(frozen=True)
class Stage:
    """`epochs` passes over the photos at `side` pixels; `mixup` is the share of batches that are blended."""

    epochs: int
    side: int
    strength: Strength
    mixup: float


@dataclass(frozen=True)
class Plan:
    """A whole run. lr is per step at `batch` photos; it rises over `warmup` epochs, then falls to zero."""

    stages: tuple[Stage, ...]
    batch: int = 128
    lr: float = 0.2
    warmup: float = 3.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.05
    average: float = 0.998

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    def stage(self, epoch: int) -> Stage:
        """The stage that epoch number `epoch` (from 0) belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def lr_at(self, epoch: float) -> float:
        """Learning rate at a fractional epoch: linear warm-up, then half a cosine."""
        if epoch < self.warmup:
            return self.lr * (epoch + 0.05) / (self.warmup + 0.05)
        done = (epoch - self.warmup) / (self.epochs - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


_FULL = Strength()
_LATE = Strength(min_area=0.5, aspect=1.4, colour=0.25, degrees=8, erase=0.1, soften=0.1)

SHIPPED = Plan(
    stages=(
        Stage(30, 80, _FULL, mixup=0.3),
        Stage(34, 96, _FULL, mixup=0.3),
        Stage(30, 112, _FULL, mixup=0.3),
        Stage(6, 112, _LATE, mixup=0.0),
    )
)
