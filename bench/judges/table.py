"""The figures as text for people, as TSV for spreadsheets, as JSON for machines."""

import json

COLUMNS = ("model", "by", "method", "error", "accuracy", "bytes", "of_float_bytes", "ms", "of_float_ms",
           "seconds", "processor_seconds")


def beside_float(lines):
    """Sizes and times beside PyTorch's float, scripted, of the same network."""
    base = next((line for line in lines if (line["by"], line["method"]) == ("PyTorch", "float")), lines[0])
    for line in lines:
        line["of_float_bytes"] = line["bytes"] / base["bytes"]
        line["of_float_ms"] = line["ms"] / base["ms"]
    return lines


def show(lines):
    print(f"{'model':<12} {'by':<13} {'method':<13} {'error':>8} {'accuracy':>8} {'kB':>8} {'of float':>8} "
          f"{'ms':>8} {'of float':>8} {'made, CPU s':>11}")
    for line in lines:
        right = "" if line["accuracy"] is None else f"{line['accuracy']:.4f}"
        made = "" if line["processor_seconds"] is None else f"{line['processor_seconds']:.1f}"
        print(f"{line['model']:<12} {line['by']:<13} {line['method']:<13} {line['error']:8.4f} {right:>8} "
              f"{line['bytes'] / 1000:8.0f} {line['of_float_bytes']:8.3f} {line['ms']:8.3f} "
              f"{line['of_float_ms']:8.2f} {made:>11}", flush=True)


def write_tsv(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for line in lines:
            file.write("\t".join("" if line[name] is None else str(line[name]) for name in COLUMNS) + "\n")


def write_json(path, about, lines):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**about, "lines": lines}, file, indent=1)
        file.write("\n")
