"""What 4 bits cost a small language model: perplexity of held-out text, by each method.

A transformer over characters, trained by `outcrop train` (kind `module`) on the novels of Debian's r-cran-janeaustenr, made
smaller by `outcrop quantize`; its files are called as boards call them. "gap left" is how much of what rounding adds to the
logarithm of the perplexity a method still adds."""

import argparse
import json
import math
import os
import pathlib
import struct
import subprocess
import tempfile
import tomllib
import zlib

import numpy as np
import torch
from torch.jit.mobile import _load_for_lite_interpreter

window = 64
symbols = 96


class Block(torch.nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = torch.nn.LayerNorm(width)
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width)
        self.norm2 = torch.nn.LayerNorm(width)
        self.up = torch.nn.Linear(width, 4 * width)
        self.down = torch.nn.Linear(4 * width, width)

    def forward(self, x, hidden):
        rows, length, width = x.size(0), x.size(1), x.size(2)
        parts = self.qkv(self.norm1(x)).view(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        likeness = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(width // self.heads) + hidden
        seen = torch.matmul(torch.softmax(likeness, -1), v).transpose(1, 2).reshape(rows, length, width)
        x = x + self.out(seen)
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))


class LanguageModel(torch.nn.Module):
    def __init__(self, width: int = 128, heads: int = 4, blocks: int = 3):
        super().__init__()
        self.tokens = torch.nn.Embedding(symbols, width)
        self.places = torch.nn.Parameter(torch.randn(window, width) * 0.02)
        self.blocks = torch.nn.ModuleList([Block(width, heads) for _ in range(blocks)])
        self.norm = torch.nn.LayerNorm(width)
        self.head = torch.nn.Linear(width, symbols)
        self.register_buffer("hidden", torch.full((window, window), float("-1e9")).triu(1))

    def forward(self, x):
        y = self.tokens(x) + self.places
        for block in self.blocks:
            y = block(y, self.hidden)
        return self.head(self.norm(y)).transpose(1, 2)


def novels(package):
    """Their lines, out of R's format: records of zlib, and in them strings of type 9 with their lengths."""
    data = package.read_bytes()
    at, lines = 0, []
    while at < len(data):
        stream = zlib.decompressobj()
        record = stream.decompress(data[at + 4:])
        at = len(data) - len(stream.unused_data)
        i = 0
        while i + 8 <= len(record):
            kind, size = struct.unpack(">Ii", record[i:i + 8])
            if kind & 0xFF == 9 and 0 <= size < 400:
                lines.append(record[i + 8:i + 8 + size].decode("utf-8", "replace"))
                i += 8 + size
            else:
                i += 1
    return "\n".join(lines)


def write_rows(folder, text):
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64)
    codes = np.where(codes == 10, symbols - 1, np.clip(codes - 32, 0, symbols - 2))
    count = (len(codes) - 1) // window
    folder.mkdir()
    np.save(folder / "x.npy", codes[:count * window].reshape(count, window))
    np.save(folder / "target.npy", codes[1:count * window + 1].reshape(count, window))


def log_perplexity(path, rows):
    module = _load_for_lite_interpreter(str(path))
    x, target = torch.from_numpy(np.load(rows / "x.npy")), torch.from_numpy(np.load(rows / "target.npy"))
    total, count = 0.0, 0
    for first in range(0, len(x), 64):
        answer = module.forward(x[first:first + 64])
        answer = answer[0] if isinstance(answer, (tuple, list)) else answer
        total += torch.nn.functional.cross_entropy(answer, target[first:first + 64], reduction="sum").item()
        count += target[first:first + 64].numel()
    return total / count


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--outcrop", required=True)
    options.add_argument("--text", type=pathlib.Path, required=True, help="Rdata.rdb of the package, or a text file")
    options.add_argument("--characters", type=int, default=2_000_000)
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--group-size", type=int, default=128)
    options.add_argument("--json", type=pathlib.Path)
    options.add_argument("--keep", type=pathlib.Path, help="work in this folder, go on from what is in it")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as made:
        work = given.keep or pathlib.Path(made)
        work.mkdir(exist_ok=True, parents=True)
        compare(given, work)


def compare(given, work):
    if not (work / "model.pt").exists():
        text = novels(given.text) if given.text.suffix == ".rdb" else given.text.read_text()
        held_out = 200_000
        write_rows(work / "train", text[held_out:held_out + given.characters])
        write_rows(work / "test", text[:held_out])
        torch.manual_seed(1)
        torch.jit.script(LanguageModel().eval()).save(str(work / "model.pt"))
        (work / "train.toml").write_text(f"""
[model]
name = "austen"
kind = "module"
module = "model.pt"
[data]
train = "train"
validation = "test"
[train]
out = "run"
loss = "cross-entropy"
batch = 32
learning_rate = 0.002
stage_epochs = {given.epochs}
[quantize]
variants = ["float"]
""")
    subprocess.run([given.outcrop, "train", work / "train.toml", "--stages", "1"], check=True)
    methods = ["float", "rtn-4bit", "gptq-4bit", "awq-4bit", "nf4-4bit"]
    (work / "q.toml").write_text(f"methods = {json.dumps(methods)}\ngroup_size = {given.group_size}\n")
    whole = work / f"files-{given.group_size}"
    weights = next((work / "run").glob("**/austen_stage1.weights"))
    quantize = [given.outcrop, "quantize", weights]
    rows = ["--calibration", work / "train", "--no-measure"]
    subprocess.run([*quantize, whole, "--config", work / "q.toml", *rows], check=True, stdout=subprocess.DEVNULL)
    files = {name: next(whole.glob(f"*_{name}.ptl")) for name in methods}
    for name in methods[1:]:
        # As the papers have it: matrices of blocks in 4 bits, embedding and head as they are.
        plan = tomllib.loads(next(whole.glob(f"*_{name}.plan.toml")).read_text())
        lines = [f'variant = "{name}"', f'method = "{plan["method"]}"', "[weights]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in plan["weights"].items()]
        for layer, decision in plan["layers"].items():
            outside = layer.endswith(("tokens", "head"))
            lines += [f'[layers."{layer}"]', f'operation = "{decision["operation"]}"',
                      f'format = "{"float" if outside else decision["format"]}"']
        changed, out = work / f"{name}.plan.toml", work / f"blocks-{given.group_size}-{name}"
        changed.write_text("\n".join(lines) + "\n")
        subprocess.run([*quantize, out, "--plan", changed, *rows], check=True, stdout=subprocess.DEVNULL)
        files[name + ", blocks"] = next(out.glob(f"*_{name}.ptl"))
    logs = {name: log_perplexity(path, work / "test") for name, path in files.items()}
    print(f"{'variant':<20}{'perplexity':>12}{'gap':>10}{'gap left':>10}{'of float':>10}")
    for name, path in files.items():
        rounding = logs["rtn-4bit, blocks" if name.endswith("blocks") else "rtn-4bit"] - logs["float"]
        gap = logs[name] - logs["float"]
        of_float = path.stat().st_size / files["float"].stat().st_size
        print(f"{name:<20}{math.exp(logs[name]):>12.4f}{gap:>10.5f}{gap / rounding:>10.2f}{of_float:>10.3f}")
    if given.json:
        given.json.write_text(json.dumps({"group_size": given.group_size, "log_perplexity": logs}) + "\n")


if __name__ == "__main__":
    main()
