"""Small networks of each family that users quantize. Written so that FX, TorchScript and ONNX can all read them."""

import torch
from torch import nn


class ConvNet(nn.Module):
    """[N, 1, 28, 28] → [N, 10]: two convolutions with batch norms, two linear layers, 0.42 M weights."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.head(torch.flatten(self.body(x), 1))


class EncoderLayer(nn.Module):
    """Attention and two linear layers, norms first (Xiong et al. 2020)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.attention_norm, self.linear_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gelu = nn.GELU()
        self.scale = self.head_width ** -0.5

    def forward(self, x):
        y = self.attention_norm(x)
        # Tokens stay 28: a fixed number, so that only the batch is free.
        query = self.query(y).reshape(-1, 28, self.heads, self.head_width).transpose(1, 2)
        key = self.key(y).reshape(-1, 28, self.heads, self.head_width).transpose(1, 2)
        value = self.value(y).reshape(-1, 28, self.heads, self.head_width).transpose(1, 2)
        weights = torch.softmax(torch.matmul(query, key.transpose(2, 3)) * self.scale, dim=-1)
        mixed = torch.matmul(weights, value).transpose(1, 2).reshape(-1, 28, self.heads * self.head_width)
        x = x + self.output(mixed)
        return x + self.narrow(self.gelu(self.widen(self.linear_norm(x))))


class Transformer(nn.Module):
    """[N, 28, 28] → [N, 10]: each line of an image is a token; four layers, 0.54 M weights."""

    def __init__(self, width=128, heads=4, layers=4):
        super().__init__()
        self.embed = nn.Linear(28, width)
        self.place = nn.Parameter(0.02 * torch.randn(28, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.norm(self.layers(self.embed(x) + self.place)).mean(dim=1))


class BiLstm(nn.Module):
    """[N, 28, 28] → [N, 10]: two layers, both ways, 0.32 M weights."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 96, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(192, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0].mean(dim=1))


def twice(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
                         nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """[N, 1, 32, 32] → the same: two steps down, two up by transposed convolutions, skips joined; 0.47 M weights."""

    def __init__(self, width=32):
        super().__init__()
        self.first, self.second, self.bottom = twice(1, width), twice(width, 2 * width), twice(2 * width, 4 * width)
        self.up_second = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up_first = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.second_again, self.first_again = twice(4 * width, 2 * width), twice(2 * width, width)
        self.pool, self.last = nn.MaxPool2d(2), nn.Conv2d(width, 1, 1)

    def forward(self, x):
        first = self.first(x)
        second = self.second(self.pool(first))
        bottom = self.bottom(self.pool(second))
        second = self.second_again(torch.cat([self.up_second(bottom), second], dim=1))
        return self.last(self.first_again(torch.cat([self.up_first(second), first], dim=1)))


class ConvNextBlock(nn.Module):
    """Depthwise 7 × 7, a norm over channels, two linear layers around a GELU (Liu et al. 2022)."""

    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm, self.gelu = nn.LayerNorm(width, eps=1e-6), nn.GELU()
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(self.gelu(self.widen(y))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """[N, 1, 28, 28] → [N, 10]: a stem, two blocks, a head; 0.28 M weights."""

    def __init__(self, width=128):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 4, stride=4)
        self.blocks = nn.Sequential(ConvNextBlock(width), ConvNextBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.stem(x)).mean(dim=[2, 3])))
