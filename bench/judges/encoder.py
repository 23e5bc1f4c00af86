"""Hidden values of our encoder beside those of `transformers`, of the same file of weights, over real texts."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import BertModel

LENGTH = 128
MOST_OFF = 1e-4
CONFIG = """
[model]
name = "encoder"
kind = "text"
weights = "{weights}"
length = {length}
[data]
train = "texts.tsv"
[train]
out = "run"
stage_epochs = 1
batch = 4
frozen_layers = 6  # all of them
[quantize]
variants = ["float"]
"""


def exported(outcrop, weights, folder):
    """The float variant of a stage that trained nothing but what tells two classes apart."""
    rows = [f"{word} number {i}\t{word}" for word in ("soup", "rain") for i in range(4)]
    (folder / "texts.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    (folder / "encoder.toml").write_text(CONFIG.format(weights=weights, length=LENGTH))
    subprocess.run([outcrop, "train", "encoder.toml", "--stages", "1", "--allow-reduced-confinement"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    return torch.jit.load(str(folder / "run" / "stage1" / "encoder_stage1_float.ptl"))


def hidden_of(model):
    """What the encoder's last norm answers: its graph, with that as its output."""
    graph = model.network.inlined_graph
    last = graph.findAllNodes("aten::layer_norm")[-1]
    graph.eraseOutput(0)
    graph.registerOutput(last.output())
    function = torch._C._create_function_from_graph("hidden", graph)
    return lambda ids: function(model.network._c, ids)


def ids_of(outcrop, vocabulary, files):
    tokenize = pathlib.Path(outcrop).parent / "outcrop-tokenize"
    said = subprocess.run([tokenize, "--vocabulary", vocabulary, "--length", str(LENGTH), *files], check=True,
                          capture_output=True, text=True)
    return torch.tensor([[int(word) for word in line.split()] for line in said.stdout.splitlines()])


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--outcrop", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=int, required=True)
    options = parser.parse_args()
    minilm = (options.data / "minilm").resolve()
    with tempfile.TemporaryDirectory(prefix="outcrop-encoder-") as folder:
        ours = hidden_of(exported(options.outcrop, minilm / "model.safetensors", pathlib.Path(folder)))
    theirs = BertModel.from_pretrained(minilm, add_pooling_layer=False).eval()
    worst = 0.0
    for name in ("news", "mails"):
        files = sorted(str(file) for file in (options.data / name).rglob("*.txt"))
        files = files[::max(1, len(files) // options.texts)][:options.texts]
        ids = ids_of(options.outcrop, minilm / "vocab.txt", files)
        off = 0.0
        for some in ids.split(8):
            seen = some != 0
            truth = theirs(input_ids=some, attention_mask=seen.long()).last_hidden_state
            off = max(off, (ours(some) - truth)[seen].abs().max().item())
        print(f"{name:6} {len(files)} texts, {(ids != 0).sum()} pieces: off by {off:.1e} at most; values are up to "
              f"{truth.abs().max():.1f}")
        worst = max(worst, off)
    sys.exit(worst > MOST_OFF)


main()
