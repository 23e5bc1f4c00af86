"""Ids of our tokenizer beside those of PyPI's tokenizers, text by text.

Special pieces that stand in a text are text to us and pieces to them, so they are told of none."""

import argparse
import json
import pathlib
import subprocess
import sys

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

at_once = 500  # files


def theirs(vocabulary: pathlib.Path, cased: bool) -> Tokenizer:
    pieces = vocabulary.read_text(encoding="utf-8").splitlines()
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]",
                                           max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def ours(program: str, vocabulary: pathlib.Path, cased: bool, files):
    command = [program, "--vocabulary", str(vocabulary)] + (["--cased"] if cased else [])
    for first in range(0, len(files), at_once):
        said = subprocess.run(command + files[first:first + at_once], check=True, capture_output=True, text=True)
        yield from ([int(word) for word in line.split()] for line in said.stdout.splitlines())


def compare(arguments, texts: str, vocabulary: pathlib.Path, cased: bool):
    files = sorted(str(file) for file in (arguments.data / texts).rglob("*.txt"))
    tokenizer = theirs(vocabulary, cased)
    ids = differing = 0
    for file, mine in zip(files, ours(arguments.tokenize, vocabulary, cased, files), strict=True):
        text = pathlib.Path(file).read_bytes().decode("utf-8", "replace")
        other = tokenizer.encode(text, add_special_tokens=False).ids
        ids += len(other)
        wrong = sum(a != b for a, b in zip(mine, other)) + abs(len(mine) - len(other))
        if wrong:
            print(f"{file}: {wrong} of {len(other)} differ", file=sys.stderr)
        differing += wrong
    return {"texts": texts, "files": len(files), "vocabulary": len(tokenizer.get_vocab()),
            "letters": "as written" if cased else "lowered", "ids": ids, "differing": differing}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenize", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    small = arguments.data / "small.txt"
    small.write_text("\n".join((arguments.data / "minilm" / "vocab.txt").read_text().splitlines()[:4000]) + "\n")
    rows = [compare(arguments, texts, vocabulary, cased) for texts in ("news", "mails")
            for vocabulary in (arguments.data / "minilm" / "vocab.txt", small) for cased in (False, True)]
    for row in rows:
        print("{texts:6} {files:5} files  {vocabulary:6} pieces  {letters:10}  {ids:9} ids  {differing} differ".format(**row))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))
    sys.exit(any(row["differing"] for row in rows))


main()
