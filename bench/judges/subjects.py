"""What is quantized: each network with its rows. Trained a minute each, so that an error means something; torchvision's
networks have drawn weights (pretrained ones cannot be had offline) and batch norms that have seen rows."""

import dataclasses
import typing

import torch
import torch.nn.functional as F

import networks
import rows


@dataclasses.dataclass
class Subject:
    name: str
    network: torch.nn.Module
    calibration: torch.Tensor
    held_out: torch.Tensor
    classes: torch.Tensor = None  # of the held-out rows, where they mean something
    static: bool = True
    dynamic: bool = False
    trained: bool = True
    traced_with: torch.Tensor = None  # rows, where PyTorch cannot script it
    variants: typing.Callable = None  # what gives our files, where they are made already


def train(network, inputs, targets, loss, steps, batch=64, rate=2e-3):
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    network.train()
    for _ in range(steps):
        drawn = torch.randint(0, len(inputs), (batch,))
        optimizer.zero_grad()
        loss(network(inputs[drawn]), targets[drawn]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def classifier(images, options, make, lines, **more):
    """`lines`: rows are 28 tokens instead of an image of one channel."""
    shape = (lambda x: x.squeeze(1)) if lines else (lambda x: x)
    torch.manual_seed(1)
    network = train(make(), shape(images.training), images.classes, F.cross_entropy, options.steps)
    return Subject(calibration=shape(images.training[:options.rows]), held_out=shape(images.held_out[:options.held_out]),
                   classes=images.held_out_classes[:options.held_out], network=network, **more)


def denoiser(images, options):
    torch.manual_seed(1)
    noisy, clean = rows.noisy(images.training[:10000], 1)
    network = train(networks.UNet(), noisy, clean, F.mse_loss, max(1, options.steps // 4), batch=32)
    return Subject("U-Net", network, noisy[:options.rows], rows.noisy(images.held_out[:256], 2)[0])


def of_torchvision(images, options, name, make):
    torch.manual_seed(1)
    network = make(num_classes=1000)
    coloured = rows.in_colour(images.training[:options.rows], 96)
    # Cumulative averages: what the rows' mean and variance are, at each norm.
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None
    network.train()
    with torch.no_grad():
        for begin in range(0, min(128, options.rows), 32):
            network(coloured[begin:begin + 32])
    return Subject(name, network.eval(), coloured, rows.in_colour(images.held_out[:64], 96), trained=False)


def all_of(options, say):
    """Name → what makes it. What is missing here is said by name, and left out."""
    try:
        images = rows.Images()
    except OSError as error:
        say(f"Fashion-MNIST is missing ({error}; Debian: dataset-fashion-mnist): nothing to train on or judge by")
        return {}
    made = {
        "CNN": lambda: classifier(images, options, networks.ConvNet, False, name="CNN"),
        "transformer": lambda: classifier(images, options, networks.Transformer, True, name="transformer", dynamic=True),
        "BiLSTM": lambda: classifier(images, options, networks.BiLstm, True, name="BiLSTM", static=False, dynamic=True),
        "U-Net": lambda: denoiser(images, options),
        "ConvNeXt": lambda: classifier(images, options, networks.ConvNext, False, name="ConvNeXt"),
    }
    try:
        from torchvision import models
        made["MobileNetV2"] = lambda: of_torchvision(images, options, "MobileNetV2", models.mobilenet_v2)
        made["ResNet-18"] = lambda: of_torchvision(images, options, "ResNet-18", models.resnet18)
    except ImportError:
        say("torchvision is missing (Debian: python3-torchvision): no MobileNetV2, no ResNet-18")
    return made
