"""How fast the loader reads here, whether that will do, and what to change if not."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.data_loader import KaldiDataRandomQueue
from dataset.worker_pool import NUM_LENT
from misc.evaluation import Table, named_rows
from misc.params import Params

_MUCH_WAITING = 0.02
"""The share of time from which on waiting is worth a word."""


class Speed(NamedTuple):
    """How fast a queue gives batches.

    Attributes:
        seconds: for a batch, once what lay ready has been taken.
        busy: share of the time that this process was computing, from 0 to 1.
        start: seconds from start() to the first batch.
        page_ins: reads from the disk for a batch by this process itself; 0: all that
            was read lay in memory.
        worker_bytes: memory of each worker that is its own; 0 where it is not known.
    """

    seconds: float
    busy: float
    start: float
    page_ins: float = 0.0
    worker_bytes: int = 0


def measure_speed(queue: KaldiDataRandomQueue, seconds: float) -> Speed:
    """Takes batches from a queue for some seconds; it is stopped afterwards.

    What lay ready before is taken first and not counted.

    Raises:
        InputError: a segment cannot be read.
        RuntimeError: a worker died.
    """
    begun = time.perf_counter()
    with queue:
        queue.fetch()
        start = time.perf_counter() - begun
        end = time.perf_counter() + seconds / 2
        for _ in range(queue.num_ready):
            if time.perf_counter() > end:
                break
            queue.fetch()
        begun, busy, number = time.perf_counter(), time.process_time(), 0
        page_ins = _page_ins()
        while not number or time.perf_counter() < begun + seconds:
            queue.fetch()
            number += 1
        passed = time.perf_counter() - begun
        busy = min(1.0, (time.process_time() - busy) / passed)
        page_ins = _page_ins() - page_ins
        own = max(map(_own_memory, queue.worker_ids), default=0)
    return Speed(passed / number, busy, start, page_ins / number, own)


class Loader(NamedTuple):
    """What the advice on the loader follows from.

    Attributes:
        alone: speed without workers.
        together: with those that are configured; None: there are none.
        step: seconds of a training step; None: not measured.
        waited: share of the time that a short training spent waiting.
        batch_bytes: of the largest batch.
        archive_bytes: of all files that features are in.
        memory_bytes: that are free; 0: not known.
        cores: that this process may use.
    """

    alone: Speed
    together: Speed | None
    step: float | None
    batch_bytes: int
    archive_bytes: int
    memory_bytes: int
    cores: int
    waited: float = 0.0


def waiting_share(params: Params, loader: Loader) -> float:
    """The share of time that training is expected to wait for data.

    What a short training showed, or, as batches lay ready for that one, what follows
    from the speeds: without workers reading and training take turns.
    """
    if loader.step is None:
        return 0.0
    if not loader.together:
        reading = loader.alone.seconds
        return max(loader.waited, reading / (reading + loader.step))
    return max(loader.waited, 1.0 - loader.step / loader.together.seconds)


def ring_bytes(params: Params, batch_bytes: int) -> int:
    """Memory that lies between workers and training."""
    if not params.num_parallel_datasets:
        return 0
    return _num_slots(params) * batch_bytes


def _num_slots(params: Params) -> int:
    return params.max_queue_size + params.num_parallel_datasets + NUM_LENT


def loader_advice(params: Params, loader: Loader) -> list[str]:
    """What to change in the configuration or about the disk, in plain words."""
    advice = []
    workers = params.num_parallel_datasets
    from_disk = loader.alone.busy < 0.5 and loader.alone.page_ins >= 1
    if loader.step is not None:
        waiting = waiting_share(params, loader)
        needed = max(1, int(np.ceil(1.2 * loader.alone.seconds / loader.step)))
        if waiting > _MUCH_WAITING:
            advice.append(_faster(params, needed, from_disk, waiting, loader))
        elif workers > 2 * needed:
            advice.append(
                f"num_parallel_datasets = {needed} would be enough; each of the "
                f"{workers} takes memory"
            )
    if workers > loader.cores:
        advice.append(
            f"num_parallel_datasets = {workers} on {loader.cores} cores: workers then "
            "take them from the network, if that computes on the CPU"
        )
    if from_disk:
        advice.append("reading waits for the disk: " + _for_disk(params))
    if workers > params.max_queue_size:
        advice.append(
            f"max_queue_size = {params.max_queue_size} is less than the number of "
            f"workers: at {2 * workers} each has something to do while others lag"
        )
    if loader.memory_bytes:
        advice += _memory_advice(params, loader)
    return advice


def _faster(
    params: Params, needed: int, from_disk: bool, waiting: float, loader: Loader
) -> str:
    workers = params.num_parallel_datasets
    text = f"{100 * waiting:.0f} % of the training would be spent waiting for data: "
    if loader.together and loader.step and loader.together.seconds < loader.step:
        return text + (
            "not for reading, which is quick enough, but for batches to be handed over "
            "and for cores, if the network computes on those that the workers use"
        )
    if needed <= workers:
        return text + (
            f"{workers} workers should do, but get in each other's way on "
            f"{loader.cores} cores: look again on a quiet machine, or try {needed}"
        )
    if needed <= loader.cores or from_disk:
        return text + f"set num_parallel_datasets to {needed}"
    return text + (
        f"{needed} reading processes would be needed and there are {loader.cores} "
        f"cores; {_for_computing(params)}"
    )


def _for_disk(params: Params) -> str:
    if params.waveform_features:
        return "copy the recordings to a local SSD, as flac (half the bytes of wav)"
    return (
        "copy the archives to a local SSD, compress them (copy-feats --compress=true: "
        "a quarter of the bytes), or ask for longer segments of fewer speakers, which "
        "are fewer reads"
    )


def _for_computing(params: Params) -> str:
    if params.waveform_features:
        return (
            "babble and rooms cost the most; features that are made before the "
            "training, raw or ready ones, are read in a hundredth of the time"
        )
    return (
        "if the archives are compressed, those that are not take a seventh of the "
        "computing (copy-feats)"
    )


def _memory_advice(params: Params, loader: Loader) -> list[str]:
    advice = []
    ring = ring_bytes(params, loader.batch_bytes)
    if ring > loader.memory_bytes / 4:
        fewer = max(1, int(loader.memory_bytes / 8 / loader.batch_bytes))
        advice.append(
            f"max_queue_size = {params.max_queue_size} takes {readable(ring)} of "
            f"{readable(loader.memory_bytes)} that are free: lower it to {fewer} or "
            "less, or take shorter segments"
        )
    if loader.archive_bytes > loader.memory_bytes:
        advice.append(
            f"the archives ({readable(loader.archive_bytes)}) do not fit into memory "
            f"({readable(loader.memory_bytes)} free), so that segments come from the "
            "disk: a local SSD will do, a network or spinning disk may not"
            + ("; the speed above is that of memory" * (loader.alone.page_ins < 1))
        )
    return advice


def speed_table(params: Params, loader: Loader, device: str = "") -> Table:
    """Batches and segments a second: what can be read and what is needed."""
    batch = params.num_speakers_per_batch * params.num_segments_per_speaker
    rows = {"read in the training process": loader.alone.seconds}
    if loader.together:
        name = f"read by {params.num_parallel_datasets} workers"
        rows = {name: loader.together.seconds, **rows}
    if loader.step is not None:
        rows[f"needed by the network on {device}"] = loader.step
    cells = {
        name: (f"{batch / seconds:.0f}", f"{1 / seconds:.1f}", f"{1e3 * seconds:.1f}")
        for name, seconds in rows.items()
    }
    return named_rows(["speed", "segments/s", "batches/s", "ms a batch"], cells)


def memory_table(params: Params, loader: Loader) -> Table:
    """What the loader takes of the memory that is free."""
    rows: dict[str, tuple[object, ...]] = {
        f"ring of {_num_slots(params)} batches": (
            readable(ring_bytes(params, loader.batch_bytes)),
        )
    }
    if loader.together and loader.together.worker_bytes:
        rows["each worker"] = (readable(loader.together.worker_bytes),)
    if not loader.together:
        rows = {"one batch": (readable(loader.batch_bytes),)}
    if loader.memory_bytes:
        rows["free"] = (readable(loader.memory_bytes),)
    return named_rows(["memory", ""], rows)


def waiting(params: Params, loader: Loader) -> str:
    """A sentence on the share of time that will be spent waiting."""
    if loader.step is None:
        return ""
    share = waiting_share(params, loader)
    return f"Expected share of the time spent waiting for data: {100 * share:.1f} %\n"


def free_memory() -> int:
    """Bytes that programs may still take, 0 if the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def readable(number: float) -> str:
    """A number of bytes for a reader."""
    if number < 1e7:
        return f"{number / 1e6:.2f} MB"
    return f"{number / 1e9:.1f} GB" if number >= 1e10 else f"{number / 1e6:.0f} MB"


def num_values(params: Params, dim: int) -> int:
    """Values of the largest batch."""
    batch = params.num_speakers_per_batch * params.num_segments_per_speaker
    return batch * params.max_segment_len * dim


def _page_ins() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _own_memory(process_id: int) -> int:
    """What a process does not share with others, in bytes."""
    try:
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0
