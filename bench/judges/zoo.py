"""Every method on every network: a file that is near float on rows it has not seen, or the reason why there is none.

Networks have drawn weights and batch norms that have seen rows: what is looked for is a wrong file, not a good one. Files are
called as boards call them, by LibTorch's lite interpreter, and held against PyTorch's float. See script/bench-quantize-zoo."""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
import numpy as np
import torch
from torch.jit.mobile import _load_for_lite_interpreter

import networks
import rows

# Decibels below which a file would be wrong: what `outcrop quantize` itself asks of golden calls, less what other rows may do.
LEAST_DB, LEAST_4BIT_DB, LEAST_FLOAT_DB = 5.0, 2.0, 40.0


class TwoHeads(torch.nn.Module):
    """Two images [N, 1, 28, 28] of one size to (what is moved [N, 1, 28, 28], classes [N, 10])."""

    def __init__(self):
        super().__init__()
        self.one, self.other = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(1, 16, 3, padding=1)
        self.join = torch.nn.Conv2d(32, 16, 3, padding=1)
        self.moved, self.head = torch.nn.Conv2d(16, 1, 3, padding=1), torch.nn.Linear(16, 10)

    def forward(self, a, b):
        x = torch.relu(self.join(torch.cat([torch.relu(self.one(a)), torch.relu(self.other(b))], dim=1)))
        return self.moved(x), self.head(x.mean(dim=[2, 3]))


class PyTorchEncoder(torch.nn.Module):
    """[N, 28, 28] → [N, 10] by nn.TransformerEncoder, as its documentation has it."""

    def __init__(self):
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(28, 4, 64, batch_first=True)
        self.layers, self.head = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), torch.nn.Linear(28, 10)

    def forward(self, x):
        return self.head(self.layers(x).mean(dim=1))


def zoo(images):
    """Name → (network, rows of each argument by name, whether it is traced)."""
    plain, lines = (lambda x: x), (lambda x: x.squeeze(1))
    made = {"CNN": (networks.ConvNet, plain), "U-Net": (networks.UNet, lambda x: torch.nn.functional.pad(x, (2, 2, 2, 2))),
            "ConvNeXt": (networks.ConvNext, plain), "transformer": (networks.Transformer, lines),
            "nn.TransformerEncoder": (PyTorchEncoder, lines), "BiLSTM": (networks.BiLstm, lines), "two heads": (TwoHeads, plain)}
    try:
        from torchvision import models
        coloured = lambda x: rows.in_colour(x, 64)
        made["MobileNetV2"] = (lambda: models.mobilenet_v2(num_classes=10), coloured)
        made["ResNet-18"] = (lambda: models.resnet18(num_classes=10), coloured)
    except ImportError:
        print("bench zoo: torchvision is missing (Debian: python3-torchvision)", file=sys.stderr)
    return made


def inputs_of(name, shape, images):
    x = shape(images)
    return {"a": x, "b": x.flip(0)} if name == "two heads" else {"x": x}


def settled(network, inputs):
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # cumulative averages
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(*inputs.values())
    return network.eval()


def outputs_of(answer):
    return [one for one in (answer if isinstance(answer, (tuple, list)) else [answer]) if one.is_floating_point()]


def decibels(truth, answers):
    """The worst output's."""
    worst = math.inf
    for one, other in zip(truth, answers):
        noise = (one - other).double().square().sum().item()
        power = one.double().square().sum().item()
        worst = min(worst, 10 * math.log10(power / noise) if noise > 0 else 150.0) if math.isfinite(noise) else -math.inf
    return min(worst, 150.0)


def least_of(variant):
    if variant == "float-mobile":
        return LEAST_FLOAT_DB
    return LEAST_4BIT_DB if "4bit" in variant or variant == "int4-native" else LEAST_DB


def variants(outcrop):
    listed = json.loads(subprocess.run([outcrop, "list", "--json"], capture_output=True, text=True, check=True).stdout)
    names = [one["variant"] for one in listed]
    return [name for name in names if name != "float"]


def try_all(options, name, network, inputs, held_out, names, folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network).save(str(folder / "net.pt"))
    (folder / "rows").mkdir(exist_ok=True)
    for argument, tensor in inputs.items():
        np.save(folder / "rows" / f"{argument}.npy", tensor.numpy())
    started = time.time()
    done = subprocess.run([options.outcrop, "quantize", folder / "net.pt", folder / "out", "--method", ",".join(names),
                           "--calibration", folder / "rows", "--no-measure", "--json"], capture_output=True, text=True)
    lines = []
    if done.returncode not in (0, 1) or not done.stdout.strip():
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        return [{"model": name, "variant": "all", "why": f"exit {done.returncode}: {last[0]}", "wrong": done.returncode not in (0, 1)}]
    told = json.loads(done.stdout)
    refused = {one["name"]: one["reason"] for one in told.get("left_out") or []}
    with torch.no_grad():
        truth = outputs_of(network(*held_out.values()))
    size = {path.stem.split("_", 1)[1]: path for path in (folder / "out").glob("*.ptl")}
    for variant in names:
        line = {"model": name, "variant": variant, "db": None, "size": None, "why": "", "wrong": False}
        if variant in refused:
            line["why"] = refused[variant]
            line["wrong"] = variant in size  # refused, and there all the same
        elif variant not in size:
            line.update(why="neither a file nor a reason", wrong=True)
        elif variant == "int4-native" and "linear_int4" in size[variant].read_bytes().decode("latin-1"):
            line["why"] = "runs in our own runner alone, whose golden calls it passed"
            line["size"] = size[variant].stat().st_size / size["float"].stat().st_size
        else:
            with torch.no_grad():
                module = _load_for_lite_interpreter(str(size[variant]))
                answers = outputs_of(module.forward(*[one.contiguous() for one in held_out.values()]))
            line["db"] = decibels(truth, answers)
            line["size"] = size[variant].stat().st_size / size["float"].stat().st_size
            line["wrong"] = not line["db"] >= least_of(variant)
        lines.append(line)
    print(f"bench zoo: {name}: {time.time() - started:.0f} s", file=sys.stderr, flush=True)
    return lines


def show(lines):
    for line in lines:
        db = "" if line.get("db") is None else f"{line['db']:.1f} dB"
        size = "" if line.get("size") is None else f"{line['size']:.3f}"
        print(f"{line['model']:<22} {line['variant']:<27} {db:>9} {size:>7}  {'WRONG ' if line['wrong'] else ''}{line['why'][:150]}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="script/bench-quantize-zoo")
    parser.add_argument("--outcrop", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.backends.quantized.engine = "qnnpack"
    torch.set_num_threads(1)
    images = rows.Images()
    names = [name for name in variants(options.outcrop)
             if not options.quick or not name.endswith(("-min-max", "-moving-average", "-percentile", "-kl", "-mixed"))]
    lines = []
    with tempfile.TemporaryDirectory(prefix="outcrop-zoo-") as temporary:
        folder = (options.keep or pathlib.Path(temporary)).resolve()
        made = zoo(images)
        for name in options.only.split(",") if options.only else made:
            make, shape = made[name]
            torch.manual_seed(1)
            inputs, held_out = (inputs_of(name, shape, images.training[:64]), inputs_of(name, shape, images.held_out[:32]))
            network = settled(make(), inputs)
            of_one = try_all(options, name, network, inputs, held_out, names, folder / name.replace(" ", "-"))
            show(of_one)
            lines += of_one
    wrong = [line for line in lines if line["wrong"]]
    works = sum(1 for line in lines if line.get("db") is not None and not line["wrong"])
    print(f"\n{len(lines)} tried: {works} near float, {len(lines) - works - len(wrong)} refused with the reason or for our runner alone, {len(wrong)} wrong")
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
