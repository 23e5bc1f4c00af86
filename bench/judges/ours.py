"""Files of `outcrop quantize`, called as boards call them: by LibTorch's lite interpreter."""

import pathlib
import subprocess

import numpy as np
import torch
from torch.jit.mobile import _load_for_lite_interpreter

from candidate import Candidate, Stopwatch


def make(outcrop, subject, folder, methods):
    """Method → candidate. A method that cannot do this network is left out, as `outcrop` says."""
    source, data, out = folder / "net.pt", folder / "rows", folder / ("ours-" + methods[0])
    data.mkdir(exist_ok=True)
    if not source.exists():
        torch.jit.script(subject.network).save(str(source))
        np.save(data / "x.npy", subject.calibration.numpy())
    watch = Stopwatch()
    done = subprocess.run(
        [outcrop, "quantize", source, out, "--method", ",".join(methods), "--calibration", data, "--no-measure"],
        capture_output=True, text=True)
    made_in = watch.read()
    if done.returncode != 0:
        raise RuntimeError("outcrop quantize: " + done.stderr.strip()[-2000:])
    return [candidate(path, made_in) for path in sorted(out.glob("*.ptl"))]


def candidate(path, made_in):
    module = _load_for_lite_interpreter(str(path))

    def call(x):
        y = module.forward(x)
        return y[0] if isinstance(y, (tuple, list)) else y

    return Candidate("outcrop", path.stem.split("_", 1)[1], path.stat().st_size, lambda x: x.contiguous(), call, made_in)
