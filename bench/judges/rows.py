"""Rows that models are trained on, calibrated with and judged by: Fashion-MNIST where Debian's package has put it."""

import gzip
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")


def read_idx(path):
    with gzip.open(path, "rb") as file:
        raw = file.read()
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, 4)
    return np.frombuffer(raw, np.uint8, -1, 4 + 4 * axes).reshape(shape)


class Images:
    """Grey images in 0..1, [N, 1, 28, 28], with classes; held out: the test set's."""

    def __init__(self, folder=FASHION_MNIST):
        def part(name):
            images = torch.from_numpy(read_idx(folder / f"{name}-images-idx3-ubyte.gz").copy())
            classes = torch.from_numpy(read_idx(folder / f"{name}-labels-idx1-ubyte.gz").copy())
            return images.unsqueeze(1).float() / 255, classes.long()

        self.training, self.classes = part("train")
        self.held_out, self.held_out_classes = part("t10k")


def in_colour(images, edge):
    """The same in three channels, larger, of about zero mean and unit deviation: what torchvision's networks take."""
    larger = F.interpolate(images, size=(edge, edge), mode="bilinear", align_corners=False)
    return ((larger - 0.2860) / 0.3530).repeat(1, 3, 1, 1)


def noisy(images, seed):
    """[N, 1, 32, 32] with noise of deviation 0.2, and without: what a U-Net is to take away."""
    clean = F.pad(images, (2, 2, 2, 2))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return clean + 0.2 * noise, clean
