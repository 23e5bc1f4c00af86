#!/usr/bin/python3
"""Writes small TorchScript modules that together have every operator which `outcrop export` knows, and rows to quantize them
with: zoo.py FOLDER. Their values are those of a seed. NAME.pt, NAME.rows/x.npy; what is left as it is in int8 says LibTorch."""
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Convolutions(nn.Module):
    """Every way to pad, stride, group and dilate, behind each other."""

    def __init__(self):
        super().__init__()
        self.same = nn.Conv2d(3, 8, 3, padding=1)
        self.valid = nn.Conv2d(8, 8, 3)
        self.strided = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.multiplied = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.dilated = nn.Conv2d(32, 8, 3, padding=2, dilation=2)
        self.wide = nn.Conv2d(8, 8, (3, 5), stride=(1, 2), padding=(1, 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.valid(F.relu(self.same(x))))
        x = F.relu(self.norm(self.strided(x)))
        x = F.relu(self.depthwise(x))
        x = self.multiplied(x)
        return self.wide(F.relu(self.dilated(x)))


class Groups(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(8, 16, 3, padding=1, groups=2)
        self.second = nn.Conv2d(16, 8, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))


class Transposed(nn.Module):
    """Padding that the format's SAME has, none, and one that is cut."""

    def __init__(self):
        super().__init__()
        self.doubled = nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1)
        self.plain = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.cut = nn.ConvTranspose2d(6, 4, 5, stride=2, padding=2, output_padding=1)
        self.last = nn.ConvTranspose2d(4, 2, 3, stride=1, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.doubled(x))
        x = F.relu(self.plain(x))
        return self.last(F.leaky_relu(self.cut(x), 0.1))


class Residual(nn.Module):
    """Sums, products and concatenations of branches whose ranges differ."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(20, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.first(x))
        two = self.second(one)
        total = F.relu(one + 0.3 * two)
        gated = total * torch.sigmoid(self.gate(total))
        return self.last(torch.cat([gated, two, x], 1))


class Pools(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.classes = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = F.avg_pool2d(F.relu(self.second(x)), 2)
        x = F.max_pool2d(x, 2)
        return self.classes(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Chain(nn.Module):
    """Layers behind each other, whose last image is laid out flat; not all of them what Keras has by that name."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 6, 3, stride=2, padding=1)
        self.hidden = nn.Linear(6 * 6 * 5, 12)
        self.classes = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.leaky_relu(self.first((x - 0.5) * 2.0), 0.1))
        x = F.avg_pool2d(F.elu(self.second(x)), 2, padding=1)
        return torch.softmax(self.classes(F.gelu(self.hidden(F.relu6(x).flatten(1)))), 1)


class Sizes(nn.Module):
    """Enlarging, padding, slices, and axes that move."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(F.relu(self.first(x)), size=[18, 22], mode="nearest")
        x = self.second(F.pad(x, [1, 1, 2, 0]))
        x = F.interpolate(x, size=[20, 24], mode="bilinear", align_corners=False)
        one, two = torch.chunk(x, 2, 1)
        x = torch.cat([two, one], 2)
        x = F.pad(x[:, :, 3:, :-2], [2, 1, 1, 2], mode="reflect")
        return x.permute(0, 2, 3, 1).mean(3)


class Activations(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)])
        self.functions = nn.ModuleList([nn.ReLU6(), nn.LeakyReLU(0.2), nn.Hardswish(), nn.Tanh()])
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer, function in zip(self.layers, self.functions):
            x = function(layer(x))
        x = self.linear(x.mean([2, 3]))
        return torch.cat([F.elu(x), F.silu(x), F.gelu(x), F.hardsigmoid(x), torch.clamp(x, -0.1, 0.2), torch.exp(-x.abs()),
                          torch.sqrt(x * x + 1.0), 1.0 / (2.0 + torch.sigmoid(x)), torch.maximum(x, -x), torch.sign(x) * torch.expm1(x.abs()), x.log_softmax(1)], 1)


class Attention(nn.Module):
    """Ids to classes: embedding, layer norms, products of what is computed."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(16, 12)
        self.norm = nn.LayerNorm(12)
        self.query, self.key, self.value = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 12)
        self.out = nn.Linear(12, 12)
        self.end = nn.LayerNorm(12)
        self.classes = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.words(x))
        batch, length, width = x.size()

        def heads(y: Tensor) -> Tensor:
            return y.view(batch, length, 2, width // 2).transpose(1, 2)
        scores = torch.matmul(heads(self.query(x)), heads(self.key(x)).transpose(2, 3)) / 2.449
        mixed = torch.matmul(torch.softmax(scores, -1), heads(self.value(x)))
        x = self.end(x + self.out(mixed.transpose(1, 2).reshape(batch, length, width)))
        return self.classes(x[:, 0])


class Signals(nn.Module):
    """Along one axis, with norms of groups."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(2, 8, 5, stride=2, padding=2)
        self.norm = nn.GroupNorm(2, 8)
        self.second = nn.Conv1d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        return self.up(F.relu(self.second(x)))


ZOO = {
    "convolutions": (Convolutions, [3, 17, 18]), "groups": (Groups, [8, 9, 9]), "transposed": (Transposed, [4, 5, 6]),
    "residual": (Residual, [4, 10, 12]), "pools": (Pools, [3, 19, 18]), "chain": (Chain, [3, 19, 18]), "sizes": (Sizes, [2, 9, 11]),
    "activations": (Activations, [4, 7, 6]), "attention": (Attention, [9]), "one_axis": (Signals, [2, 32]),
}


def main():
    folder = Path(sys.argv[1])
    torch.manual_seed(5)
    for name, (make, shape) in ZOO.items():
        module = make()
        ids = name == "attention"
        rows = torch.randint(0, 16, [64, *shape]) if ids else torch.randn([64, *shape])
        for one in module.modules():
            if isinstance(one, nn.BatchNorm2d):
                one.running_mean.normal_()
                one.running_var.uniform_(0.5, 2.0)
        # A trace of attention: its nested function is no TorchScript.
        module.eval()
        saved = torch.jit.trace(module, rows[:1]) if ids else torch.jit.script(module)
        saved.save(str(folder / f"{name}.pt"))
        (folder / f"{name}.rows").mkdir()
        numpy.save(folder / f"{name}.rows" / "x.npy", rows.numpy())


if __name__ == "__main__":
    main()
