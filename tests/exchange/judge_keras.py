#!/usr/bin/python3
"""Holds .keras files against the TorchScript that they were made of, and trains them: judge_keras.py < LINES, each
"MODEL FILE SIZES". Prints a line for each: the largest difference of answers, how many weights a step of training moved, and the
loss before and after some steps towards answers that are larger by one, on eight rows."""
import json
import shlex
import sys

import keras
import numpy
import torch


def last(x):
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def judge(module, file, sizes):
    numpy.random.seed(3)
    rows = numpy.random.randn(8, *[int(size) for size in sizes.split(",")][1:]).astype(numpy.float32)
    with torch.no_grad():
        true = last(torch.jit.load(module).eval()(torch.from_numpy(rows)).numpy())
    model = keras.saving.load_model(file)
    answer = model.predict(last(rows), verbose=0)
    assert answer.shape == true.shape, (answer.shape, true.shape)
    largest = float(numpy.abs(answer - true).max())
    before = [weight.copy() for weight in model.get_weights()]
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    wanted = true[::-1] + 1.0
    losses = [model.evaluate(last(rows), wanted, verbose=0)]
    model.fit(last(rows), wanted, epochs=5, batch_size=8, verbose=0)
    losses.append(model.evaluate(last(rows), wanted, verbose=0))
    trained = sum(bool((old != new).any()) for old, new in zip(before, model.get_weights(), strict=True))
    model.save("again.keras")
    assert numpy.allclose(keras.saving.load_model("again.keras").predict(last(rows), verbose=0), model.predict(last(rows), verbose=0))
    print(json.dumps({"file": file, "largest": largest, "trained": trained, "loss_before": losses[0], "loss_after": losses[1]}))


for line in sys.stdin:
    judge(*shlex.split(line))
