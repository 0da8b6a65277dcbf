"""The training loop: resumes where it stopped, keeps an average of the weights, writes its history."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"  # before the first import of keras

import cv2
import keras
import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track

from . import network
from .augment import random_view
from .photos import Photos
from .schedule import CALM, Plan, Stage
from .torch_layers import FusedBatchNormalization, FusedConv2D

BLEND_VIEWS = 6144
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def fit(train: Photos, val: Photos, plan: Plan, run: Path, teacher: keras.Model | None = None, seed: int = 1) -> None:
    """Train by `plan` and leave in `run`: checkpoint.pt, history.jsonl and average.npz.

    teacher: a network with every block of ours, from `trained`; we start with its weights and learn from its answers.
    A run that was stopped goes on after its last whole epoch.
    """
    run.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # the loader is one thread; the rest of the cores belong to the network
    keras.utils.set_random_seed(seed)
    model = _network(plan)
    if teacher is not None:
        network.copy_shared(teacher, model, dict(plan.instead))
    start = model.get_weights()
    average = [weight.value.detach().clone() for weight in model.weights]
    optimizer = _optimizer(model, plan)
    first = _resume(run, model, average, optimizer)
    for epoch in range(first, plan.epochs):
        stage, started = plan.stage(epoch), time.monotonic()
        loss = _one_epoch(model, teacher, average, optimizer, train, plan, stage, epoch, seed)
        row = {"epoch": epoch + 1, "side": stage.side, "lr": plan.lr_at(epoch + 1), "loss": loss}
        row["seconds"] = round(time.monotonic() - started, 1)
        if epoch % 2 == 1 or epoch + 1 == plan.epochs:
            with _borrowed(model, average):
                row |= evaluate(model, val, max(stage.side, 96))
                _keep(model, run)
        _save(run, model, average, optimizer, epoch + 1)
        with (run / "history.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(" ".join(f"{key}={value:.4g}" for key, value in row.items()), flush=True)
    if plan.blend < 1:
        with _borrowed(model, average):
            blend(model, start, train, plan, seed)
            found = evaluate(model, val, plan.stage(plan.epochs).side)
            print("blended:", " ".join(f"{key}={value:.4g}" for key, value in found.items()), flush=True)
            _keep(model, run)


def blend(model: keras.Model, start: list[np.ndarray], train: Photos, plan: Plan, seed: int) -> None:
    """Mix the model's weights with those it started as, and measure its batch statistics anew on calm views."""
    share = plan.blend
    model.set_weights([(1 - share) * old + share * new for old, new in zip(start, model.get_weights(), strict=True)])
    rng, side = np.random.default_rng(seed), plan.stage(plan.epochs).side
    norms = [layer for layer in model.layers if isinstance(layer, FusedBatchNormalization)]
    batches = np.array_split(rng.permutation(len(train))[:BLEND_VIEWS], max(1, min(BLEND_VIEWS, len(train)) // 256))
    sums = [(0.0, 0.0)] * len(norms)
    kept = [norm.momentum for norm in norms]
    for chosen in batches:
        views = np.stack([random_view(train.images[index], side, CALM, rng) for index in chosen])
        for norm in norms:
            norm.momentum = 0.0  # each batch's own statistics, which are averaged here
        with torch.no_grad():
            model(torch.from_numpy(views).to(DEVICE).float() / 127.5 - 1, training=True)
        found = [(norm.moving_mean.value.clone(), norm.moving_variance.value.clone()) for norm in norms]
        sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, found, strict=True)]
    for norm, momentum, (mean, variance) in zip(norms, kept, sums, strict=True):
        norm.momentum = momentum
        norm.moving_mean.assign(mean / len(batches))
        norm.moving_variance.assign(variance / len(batches))


def _keep(model: keras.Model, run: Path) -> None:
    np.savez(run / "average.npz", **{f"w{index}": values for index, values in enumerate(model.get_weights())})


def trained(plan: Plan, run: Path) -> keras.Model:
    """The network of `plan` with the averaged weights that `fit` left in `run`."""
    model = _network(plan)
    with np.load(run / "average.npz") as saved:
        model.set_weights([saved[f"w{index}"] for index in range(len(saved.files))])
    return model


def _network(plan: Plan) -> keras.Model:
    model = network.build(plan.blocks, None, FusedConv2D, FusedBatchNormalization)
    model.to(DEVICE)
    return model


def _optimizer(model: keras.Model, plan: Plan) -> torch.optim.Optimizer:
    kernels = [v.value for v in model.trainable_variables if v.value.ndim > 1]
    others = [v.value for v in model.trainable_variables if v.value.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, plan.lr_at(0), momentum=plan.momentum, nesterov=True)


def _one_epoch(
    model, teacher, average, optimizer, train: Photos, plan: Plan, stage: Stage, epoch: int, seed: int
) -> float:
    """One pass, with its progress where a terminal shows it; returns the mean loss."""
    rng = np.random.default_rng([seed, epoch])
    steps = len(train) // plan.batch
    losses = []
    batches = _prefetched(_batches(train, plan.batch, stage, rng))
    title = f"epoch {epoch + 1} of {plan.epochs}, {stage.side} px"
    for step, (images, labels) in enumerate(track(batches, title, steps, transient=True)):
        lr = plan.lr_at(epoch + step / steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        x = torch.from_numpy(images).to(DEVICE).float().div_(127.5).sub_(1.0)
        target = F.one_hot(torch.from_numpy(labels).to(DEVICE), 2).float()
        if rng.random() < stage.mixup:
            share = float(rng.beta(0.4, 0.4))
            order = torch.randperm(len(x), device=DEVICE)
            x, target = torch.lerp(x[order], x, share), torch.lerp(target[order], target, share)
        if teacher is not None:
            with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
                answer = teacher(x, training=False)
            target = torch.lerp(target, answer.float().softmax(1), plan.taught)
        with torch.autocast(DEVICE, torch.bfloat16):
            logits = model(x, training=True)
        loss = F.cross_entropy(logits.float(), target, label_smoothing=plan.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _update_average(average, model, plan.average, epoch * steps + step)
        losses.append(loss.item())
    return float(np.mean(losses))


def _update_average(average, model, decay: float, step: int) -> None:
    decay = min(decay, (1 + step) / (20 + step))
    with torch.no_grad():
        torch._foreach_lerp_(average, [weight.value.detach() for weight in model.weights], 1 - decay)


def _batches(train: Photos, batch: int, stage: Stage, rng) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    order = rng.permutation(len(train))
    own = np.random.default_rng(rng.integers(2**63))
    for start in range(0, len(order) - batch + 1, batch):
        chosen = order[start : start + batch]
        views = np.empty((batch, stage.side, stage.side, 3), np.uint8)
        for view, index in zip(views, chosen, strict=True):
            view[:] = random_view(train.images[index], stage.side, stage.strength, own)
        yield views, train.labels[chosen]


def _prefetched(batches: Iterator) -> Iterator:
    """The same batches, made by a thread a few steps ahead (OpenCV works outside Python's lock)."""
    ready: queue.Queue = queue.Queue(maxsize=4)

    def make() -> None:
        for batch in batches:
            ready.put(batch)
        ready.put(None)

    threading.Thread(target=make, daemon=True).start()
    return iter(ready.get, None)


def evaluate(model, photos: Photos, side: int) -> dict[str, float]:
    """Accuracy and log loss on whole photos squashed to a square of `side` pixels."""
    logits = []
    for start in range(0, len(photos), 128):
        views = np.stack(
            [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in photos.images[start : start + 128]]
        )
        x = torch.from_numpy(views).to(DEVICE).float() / 127.5 - 1
        with torch.no_grad():
            logits.append(model(x, training=False).float().cpu())
    joined, labels = torch.cat(logits), torch.from_numpy(photos.labels)
    right = (joined.argmax(1) == labels).float().mean()
    return {"accuracy": float(right), "log_loss": float(F.cross_entropy(joined, labels))}


class _borrowed:
    """The model with the averaged weights in it, for the length of a `with` block."""

    def __init__(self, model, average):
        self.model, self.average = model, average

    def _swap(self) -> None:
        with torch.no_grad():
            for weight, mean in zip(self.model.weights, self.average, strict=True):
                kept = weight.value.detach().clone()
                weight.value.copy_(mean)
                mean.copy_(kept)

    def __enter__(self):
        self._swap()

    def __exit__(self, *_):
        self._swap()


def _save(run: Path, model, average, optimizer, epoch: int) -> None:
    state = {
        "epoch": epoch,
        "weights": [weight.value.detach() for weight in model.weights],
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, run / "checkpoint.tmp")
    (run / "checkpoint.tmp").replace(run / "checkpoint.pt")


def _resume(run: Path, model, average, optimizer) -> int:
    if not (run / "checkpoint.pt").exists():
        return 0
    state = torch.load(run / "checkpoint.pt", map_location=DEVICE)
    with torch.no_grad():
        for weight, value in zip(model.weights, state["weights"], strict=True):
            weight.value.copy_(value)
        for mean, value in zip(average, state["average"], strict=True):
            mean.copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])
