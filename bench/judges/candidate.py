"""One file that somebody could put onto a board: who made it, how, and how it is called."""

import dataclasses
import os
import time
import typing

import numpy as np


class Stopwatch:
    """Seconds since it was made, and processor seconds of this process and those it ran: on a busy machine these count."""

    def __init__(self):
        self.start, self.used = time.monotonic(), sum(os.times()[:4])

    def read(self):
        return {"seconds": time.monotonic() - self.start, "processor_seconds": sum(os.times()[:4]) - self.used}


@dataclasses.dataclass
class Candidate:
    by: str
    method: str
    bytes: int
    prepare: typing.Callable  # rows as a tensor → what `call` takes
    call: typing.Callable     # what `prepare` gave → the first output, as its own program hands it over
    made_in: dict = dataclasses.field(default_factory=dict)  # what a Stopwatch read

    def outputs(self, rows, batch=64):
        parts = [self.call(self.prepare(rows[i:i + batch])) for i in range(0, len(rows), batch)]
        return np.concatenate([np.asarray(part) for part in parts])
