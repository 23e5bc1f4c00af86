"""The classifier of texts that training left, as somebody would have it in Python: its weights in `transformers`' BertModel, the
texts that it held out, and the variants of its stage."""

import hashlib
import pathlib
import subprocess
import tempfile

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

import ours
from subjects import Subject

HELD_OUT = 400  # as configs/text-minilm.toml has it


def theirs(name):
    """Our name of a tensor as BertModel has it; none for what decides classes."""
    part, kind = name.removeprefix("network.").rsplit(".", 1)
    beside = {"pieces": "embeddings.word_embeddings", "places": "embeddings.position_embeddings", "norm": "embeddings.LayerNorm"}
    if part == "classes":
        return None
    if part in beside:
        return f"{beside[part]}.{kind}"
    layer, of = part.removeprefix("layer").split("_", 1)
    where = {"query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
             "attention": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
             "up": "intermediate.dense", "down": "output.dense", "norm": "output.LayerNorm"}[of]
    return f"encoder.layer.{int(layer) - 1}.{where}.{kind}"


def logits_of(probabilities):
    """Of rows of probabilities, less each row's mean: what they tell of logits."""
    logits = probabilities.double().clamp_min(1.2e-38).log()
    return (logits - logits.mean(1, keepdim=True)).float()


class Classifier(torch.nn.Module):
    """ids [N, length] → logits, less each row's mean: those of the model that training left."""

    def __init__(self, tensors, config):
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classes = torch.nn.Linear(config.hidden_size, len(tensors["network.classes.bias"]))
        named = {theirs(name): tensor for name, tensor in tensors.items() if theirs(name)}
        named["embeddings.token_type_embeddings.weight"] = torch.zeros(config.type_vocab_size, config.hidden_size)
        self.bert.load_state_dict(named)
        self.classes.load_state_dict({kind: tensors[f"network.classes.{kind}"] for kind in ("weight", "bias")})

    def forward(self, ids):
        seen = (ids != 0).to(torch.float32)
        hidden = self.bert(input_ids=ids, attention_mask=seen).last_hidden_state
        mean = (hidden * seen.unsqueeze(-1)).sum(1) / seen.sum(1, keepdim=True)
        logits = self.classes(mean)
        return logits - logits.mean(1, keepdim=True)


def texts_of(folder):
    """Files and classes as training orders them: by the digest of the text, each text once."""
    by_digest = {}
    for file in sorted(folder.rglob("*.txt")):
        by_digest.setdefault(hashlib.sha256(file.read_bytes().strip(b" \t\r\n\v\f")).hexdigest(), file)
    return [by_digest[digest] for digest in sorted(by_digest)]


def ids_of(outcrop, vocabulary, length, files):
    tokenize = pathlib.Path(outcrop).parent / "outcrop-tokenize"
    rows = []
    for begin in range(0, len(files), 500):
        said = subprocess.run([tokenize, "--vocabulary", vocabulary, "--length", str(length), *files[begin:begin + 500]],
                              check=True, capture_output=True, text=True)
        rows += [[int(word) for word in line.split()] for line in said.stdout.splitlines()]
    return torch.tensor(rows)


def weights_beside(stage, outcrop):
    weights, = stage.parent.glob(f"*_{stage.name}.weights")
    with tempfile.TemporaryDirectory(prefix="outcrop-texts-") as folder:
        subprocess.run([outcrop, "export", weights, folder, "--format", "safetensors"], check=True, stdout=subprocess.DEVNULL)
        exported, = pathlib.Path(folder).glob("*.safetensors")
        return load_file(exported)


def subject(options):
    """Of `options.stage`, run-minilm/stage1 say, whose weights lie beside it."""
    tensors = weights_beside(options.stage, options.outcrop)
    minilm = options.data / "minilm"
    config = BertConfig.from_pretrained(minilm)
    length = len(tensors["network.places.weight"])
    config.max_position_embeddings = length
    network = Classifier(tensors, config).eval()
    files = texts_of(options.data / "news")
    names = sorted({file.parent.name for file in files})
    ids = ids_of(options.outcrop, minilm / "vocab.txt", length, files)
    classes = torch.tensor([names.index(file.parent.name) for file in files])
    return Subject("MiniLM, news", network, ids[:options.rows], ids[-HELD_OUT:], classes[-HELD_OUT:], dynamic=True,
                   traced_with=ids[:1], variants=lambda: variants(options.stage))


def variants(stage):
    """Files as boards get them, answering logits instead of probabilities."""
    made = [ours.candidate(path, {}) for path in sorted(stage.glob("*.ptl")) if not path.stem.endswith("_float")]
    for one in made:
        one.call = lambda ids, call=one.call: logits_of(call(ids))
    return made
