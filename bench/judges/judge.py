"""Error beside the float network, share of right classes, and time of one call: all candidates in turns."""

import statistics
import time

import numpy as np
import torch


def relative_error(outputs, truth):
    """Root of the mean square of the difference, of that of the float outputs."""
    return float(np.sqrt(np.mean((outputs - truth) ** 2) / np.mean(truth ** 2)))


def accuracy(outputs, classes):
    return None if classes is None else float(np.mean(outputs.argmax(axis=1) == classes.numpy()))


def times(candidates, rows, rounds, seconds):
    """Milliseconds of a call at batch 1: medians, in turns. Of the processor, not of the wall: on one thread they are the
    same but for what else runs on this machine."""
    row = rows[:1]
    calls = [(candidate.call, candidate.prepare(row)) for candidate in candidates]
    for call, x in calls:
        for _ in range(10):  # TorchScript's profiling runs, too
            call(x)
    measured = [[] for _ in calls]
    end = time.monotonic() + seconds
    for turn in range(rounds):
        if turn >= 5 and time.monotonic() > end:
            break
        for kept, (call, x) in zip(measured, calls):
            call(x)  # caches are the last one's
            for _ in range(3):
                start = time.process_time()
                call(x)
                kept.append(time.process_time() - start)
    return [1000 * statistics.median(kept) for kept in measured]


@torch.no_grad()
def judge(subject, candidates, options):
    """One line of figures for each candidate."""
    torch.set_num_threads(1)
    truth = np.concatenate([subject.network(subject.held_out[i:i + 64]).numpy()
                            for i in range(0, len(subject.held_out), 64)])
    lines = []
    for candidate, ms in zip(candidates, times(candidates, subject.held_out, options.rounds, options.seconds)):
        outputs = candidate.outputs(subject.held_out)
        lines.append({
            "model": subject.name, "by": candidate.by, "method": candidate.method,
            "error": relative_error(outputs, truth),
            "accuracy": accuracy(outputs, subject.classes),
            "bytes": candidate.bytes, "ms": ms,
            "seconds": candidate.made_in.get("seconds"),
            "processor_seconds": candidate.made_in.get("processor_seconds")})
    torch.set_num_threads(options.threads)
    return lines
