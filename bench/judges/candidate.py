"""One file that somebody could put onto a board: who made it, how, and how it is called."""

import dataclasses
import typing

import numpy as np


@dataclasses.dataclass
class Candidate:
    by: str
    method: str
    bytes: int
    prepare: typing.Callable  # rows as a tensor → what `call` takes
    call: typing.Callable     # what `prepare` gave → the first output, as its own program hands it over
    seconds: float = None     # to make it

    def outputs(self, rows, batch=64):
        parts = [self.call(self.prepare(rows[i:i + batch])) for i in range(0, len(rows), batch)]
        return np.concatenate([np.asarray(part) for part in parts])
