#!/usr/bin/python3
"""Writes the TorchScript modules that tests bring: /usr/bin/python3 make_modules.py (Debian's python3-torch).

Their values are those of a seed, so that the files stay what they are."""
import zipfile
from pathlib import Path
from typing import Dict, List, Tuple

import torch
from torch import Tensor, nn


class Digits(nn.Module):
    """Images [N, 1, 8, 8] to logits [N, 4]: a residual block, as most networks have them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.block_norm = nn.BatchNorm2d(8)
        self.classes = nn.Linear(8 * 4 * 4, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(images)))
        x = torch.relu(x + self.block_norm(self.block(x)))
        x = torch.max_pool2d(x, 2)
        return self.classes(torch.flatten(x, 1))


class Mobile(nn.Module):
    """As networks for small machines are: blocks of blocks, depthwise, ReLU6 in place, dropout."""

    def __init__(self):
        super().__init__()

        def unit(into, out, size, groups=1):
            return nn.Sequential(nn.Conv2d(into, out, size, padding=size // 2, groups=groups, bias=False),
                                 nn.BatchNorm2d(out), nn.ReLU6(inplace=True))
        self.first = unit(1, 8, 3)
        self.block = nn.Sequential(unit(8, 16, 1), unit(16, 16, 3, groups=16), nn.Conv2d(16, 8, 1),
                                   nn.BatchNorm2d(8))
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 8),
                                 nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4))
        self.soft = True

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images)
        x = self.end(x + self.block(x))
        if self.soft:
            x = torch.softmax(x, 1)
        return x


class UNet(nn.Module):
    """Images to images, with a skip and a transposed convolution."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.deep = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.down(images)
        return self.last(torch.cat([x, self.up(self.deep(x))], 1))


class Encoder(nn.Module):
    """One operation with the weights of a whole layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(x.reshape(-1, 2, 8)))


class Attention(nn.Module):
    """An encoder as torch.nn has it, scripted: branch over branch on what all rows share, and a fused operation."""

    def __init__(self):
        super().__init__()
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2,
                                            enable_nested_tensor=False)
        self.last = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x))


class Recurrent(nn.Module):
    """Words [N, 6] to logits, both ways, over two layers."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(40, 16)
        self.reader = nn.LSTM(16, 16, num_layers=2, bidirectional=True, batch_first=True)
        self.again = nn.GRU(32, 16, batch_first=True)
        self.last = nn.Linear(16, 32)

    def forward(self, tokens: Tensor) -> Tensor:
        y, _ = self.reader(self.words(tokens))
        z, _ = self.again(y)
        return self.last(z.mean(1))


class Texts(nn.Module):
    """Ids of texts [N, length] to a probability for each of three classes; filling, 0, says nothing."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 8)
        self.classes = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        seen = (tokens != 0).to(torch.float32).unsqueeze(2)
        mean = (self.words(tokens) * seen).sum(1) / seen.sum(1).clamp_min(1.0)
        return torch.softmax(self.classes(mean), 1)


class Packs(nn.Module):
    """What boards' interpreter does not load: a packed sequence."""

    def __init__(self):
        super().__init__()
        self.steps = nn.GRU(2, 2, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.steps(packed)[1][0]


class Projected(nn.Module):
    """An LSTM with projections, which no method knows, and a part of a tensor that is changed after it was read."""

    def __init__(self):
        super().__init__()
        self.reader = nn.LSTM(8, 16, proj_size=8, batch_first=True)
        self.first = nn.Linear(8, 32)
        self.last = nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.reader(x)
        h = torch.relu(self.first(y[:, -1]))
        z = self.last(h)
        h[:, ::2] *= 2.0
        return z + self.last(h)


class Signals(nn.Module):
    """Along one axis, with everything that a convolution may have, and norms behind all of it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 16, 5, padding="same")
        self.norm = nn.BatchNorm1d(16)
        self.down = nn.Conv1d(16, 32, 3, stride=2, padding=1, groups=2, bias=False)
        self.up = nn.ConvTranspose1d(32, 16, 4, stride=2, padding=1)
        self.up_norm = nn.BatchNorm1d(16)
        self.last = nn.Conv1d(16, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.up_norm(self.up(torch.relu(self.down(x)))))
        return self.last(x)


class Resized(nn.Module):
    """Images to larger ones, by what Python's functions make of factors and of sizes: loops over the axes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.nearest = nn.Upsample(scale_factor=2)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.middle(self.nearest(torch.relu(self.first(images)))))
        y = nn.functional.interpolate(x, scale_factor=0.5, mode="area")
        y = nn.functional.interpolate(y, size=x.shape[-2:], mode="nearest")
        return self.last(nn.functional.interpolate(x + y, scale_factor=[1.5, 2.0], mode="bilinear"))


class ResizedSignals(nn.Module):
    """The same along one axis."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 32, 3, padding=1)
        self.last = nn.Conv1d(32, 16, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.interpolate(torch.relu(self.first(x)), scale_factor=2.0)
        y = nn.functional.interpolate(y, size=48, mode="linear", align_corners=True)
        return self.last(nn.functional.interpolate(y, scale_factor=1.5, mode="linear"))


class Brightest(nn.Module):
    """What LibTorch's passes for int8 end at: a pool that answers two tensors."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.pool = nn.AdaptiveMaxPool2d((4, 4))
        self.last = nn.Conv2d(8, 16, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.pool(torch.relu(self.first(images))))


class TwoInputs(nn.Module):
    """Signals [N, 16] and which of three sensors they are of [N], to (level [N, 1], loudest [N])."""

    def __init__(self):
        super().__init__()
        self.sensors = nn.Embedding(3, 8)
        self.first = nn.Linear(16, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, signal: Tensor, sensor: Tensor, gain: float = 1.0) -> Tuple[Tensor, Tensor]:
        x = torch.tanh(self.first(signal * gain) + self.sensors(sensor))
        return self.last(x), torch.argmax(signal, 1)


class Loop(nn.Module):
    """As many steps as its input says."""

    def __init__(self):
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        count = int(x.abs().max()) + 1
        for _ in range(count):
            x = torch.tanh(self.step(x))
        return x


class TakesDict(nn.Module):
    def forward(self, named: Dict[str, Tensor]) -> Tensor:
        return named["x"]


class GivesList(nn.Module):
    def forward(self, x: Tensor) -> List[Tuple[Tensor, Tensor]]:
        return [(x, x)]


class ChangesInput(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        return x


class Draws(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


class ReadsFile(nn.Module):
    """What TorchScript can do besides arithmetic: answer the first bytes of a file."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.path, False, 4, dtype=torch.uint8).float()


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum(0)


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = nn.Linear(4, 4).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x.double()).float()


class Tied(nn.Module):
    """One weight by two names."""

    def __init__(self):
        super().__init__()
        self.there = nn.Linear(4, 4, bias=False)
        self.back = nn.Linear(4, 4, bias=False)
        self.back.weight = self.there.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.back(torch.relu(self.there(x)))


def settle(module: nn.Module) -> nn.Module:
    """Batch norms whose statistics are not those of nothing."""
    for one in module.modules():
        if isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d)):
            one.running_mean.uniform_(-0.1, 0.1)
            one.running_var.uniform_(0.5, 1.5)
    return module.eval()


def forget_sources(file: Path) -> None:
    """Without where on its maker's machine each line was written."""
    with zipfile.ZipFile(file) as archive:
        kept = [(one.filename, archive.read(one)) for one in archive.infolist()
                if not one.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in kept:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


if __name__ == "__main__":
    for number, (name, make) in enumerate({
            "digits": Digits, "two_inputs": TwoInputs, "loop": Loop, "takes_dict": TakesDict,
            "gives_list": GivesList, "changes_input": ChangesInput, "draws": Draws,
            "summed": Summed, "half": Half, "tied": Tied}.items()):
        torch.manual_seed(number)
        torch.jit.script(settle(make())).save(f"{name}.pt")
    torch.jit.script(ReadsFile("secret.txt").eval()).save("reads_secret.pt")
    torch.jit.script(ReadsFile("rows/x.npy").eval()).save("reads_rows.pt")
    torch.manual_seed(0)
    torch.jit.script(Digits()).save("in_training_mode.pt")
    torch.manual_seed(0)
    digits = settle(Digits())
    torch.save(digits.state_dict(), "digits_state.pt")
    torch.manual_seed(20)
    mobile = settle(Mobile())
    torch.jit.script(mobile).save("mobile.pt")
    torch.jit.trace(mobile, torch.zeros(2, 1, 8, 8)).save("mobile_traced.pt")
    torch.jit.save(torch.jit.freeze(torch.jit.script(mobile)), "mobile_frozen.pt")
    torch.jit.script(settle(UNet())).save("unet.pt")
    for name, make in {"recurrent": Recurrent, "texts": Texts, "signals": Signals, "packs": Packs, "projected": Projected,
                       "resized": Resized, "resized_signals": ResizedSignals, "brightest": Brightest,
                       "attention": Attention}.items():
        torch.manual_seed(30)
        torch.jit.script(settle(make())).save(f"{name}.pt")
    torch.jit.trace(settle(Encoder()), torch.rand(2, 16), check_trace=False).save("encoder.pt")
    torch.jit.save(torch.jit.freeze(torch.jit.script(digits)), "frozen.pt")
    torch.jit.trace(digits, torch.zeros(1, 1, 8, 8)).save("traced.pt")
    for module in Path().glob("*.pt"):
        forget_sources(module)
