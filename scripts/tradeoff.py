#!/usr/bin/env python3
"""Accuracy against certified accuracy, by the loss.

usage: scripts/tradeoff.py --data mnist:DIR [-o DIR] [--eps 0.3] [--limit N] [--epochs N] [--lipcert PROGRAM]

Trains one small network for every temperature and every margin (the offset of the cross-entropy) of a grid with `lipcert train` and certifies it, writes
tradeoff.csv and tradeoff.svg into `-o`, and prints the table. A low temperature is closer to a classifier without a margin, a high one to the mean margin:
Béthune et al., "Pay attention to your loss: understanding misconceptions about Lipschitz neural networks", NeurIPS 2022.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPERATURES = (0.02, 0.1, 0.5)
MARGINS = (0.0, 0.3, 1.0, 3.0)
CONFIG = """\
schema = "lipcert/train-config/1"
[data]
train = "{data}"
limit = {limit}
[network]
name = "sll"
preprocess = "mean=0.1307"
layers = [
  {{ kind = "flatten" }},
  {{ kind = "sll-dense", inner = 256, repeat = 3 }},
  {{ kind = "normalized-head" }},
]
[loss]
kind = "cross-entropy"
offset = {margin}
temperature = {temperature}
[optimizer]
kind = "adam"
rate = 0.01
betas = [0.5, 0.9]
[schedule]
kind = "triangular"
[train]
epochs = {epochs}
batch = 256
[certify]
eps = ["{epsilon}"]
"""
COLOURS = ("#1b6ca8", "#c1502e", "#3b8c4a", "#7a5195")


def svg(rows, epsilon):
    """Points, one colour a temperature, joined in the order of the margins."""
    width, height, left, bottom, top, right = 640, 420, 70, 50, 20, 150
    xs, ys = [row["accuracy"] for row in rows], [row["certified"] for row in rows]
    spread = lambda values: (min(values) - 1, max(values) + 1)
    (x0, x1), (y0, y1) = spread(xs), spread(ys)
    at = lambda x, y: (left + (x - x0) / (x1 - x0) * (width - left - right), height - bottom - (y - y0) / (y1 - y0) * (height - top - bottom))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{left},{top} V{height - bottom} H{width - right}" fill="none" stroke="#444"/>',
        f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">accuracy, %</text>',
        f'<text transform="translate(18,{height / 2}) rotate(-90)" text-anchor="middle">certified at ε = {epsilon}, %</text>',
    ]
    for k in range(5):
        x, y = x0 + (x1 - x0) * k / 4, y0 + (y1 - y0) * k / 4
        parts.append(f'<text x="{at(x, y0)[0]:.1f}" y="{height - bottom + 16}" text-anchor="middle">{x:.1f}</text>')
        parts.append(f'<text x="{left - 6}" y="{at(x0, y)[1] + 4:.1f}" text-anchor="end">{y:.1f}</text>')
    for k, temperature in enumerate(sorted({row["temperature"] for row in rows})):
        own = [row for row in rows if row["temperature"] == temperature]
        points = [at(row["accuracy"], row["certified"]) for row in own]
        parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" stroke="{COLOURS[k % 4]}"/>')
        for (x, y), row in zip(points, own):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[k % 4]}"/>')
            parts.append(f'<text x="{x + 6:.1f}" y="{y - 6:.1f}" font-size="10">{row["margin"]:g}</text>')
        parts.append(f'<text x="{width - right + 12}" y="{top + 20 + 18 * k}" fill="{COLOURS[k % 4]}">temperature {temperature:g}</text>')
    parts.append(f'<text x="{width - right + 12}" y="{top + 28 + 18 * (k + 1)}" font-size="10">numbers: margin</text></svg>')
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="mnist:DIR")
    parser.add_argument("-o", dest="folder", type=Path, default=Path("runs/tradeoff"))
    parser.add_argument("--eps", default="0.3")
    parser.add_argument("--limit", type=int, default=20000, help="training samples")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lipcert", default=str(ROOT / "target/release/lipcert"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    print("temperature  margin  accuracy  certified")
    for temperature in TEMPERATURES:
        for margin in MARGINS:
            name = f"t{temperature:g}-m{margin:g}"
            config = arguments.folder / f"{name}.toml"
            fields = {"data": arguments.data, "limit": arguments.limit, "epochs": arguments.epochs, "epsilon": arguments.eps}
            config.write_text(CONFIG.format(margin=margin, temperature=temperature, **fields))
            command = [arguments.lipcert, "train", str(config), "-o", str(arguments.folder / name), "--force", "--json", "--quiet"]
            run = subprocess.run(command, stdout=subprocess.PIPE)
            if run.returncode == 2:
                sys.exit(run.returncode)
            result = json.loads(run.stdout)["certify"]
            row = {"temperature": temperature, "margin": margin, "accuracy": 100 * result["accuracy"]}
            row["certified"] = 100 * result["certified"][0]["accuracy"]
            rows.append(row)
            print(f"{temperature:11g}  {margin:6g}  {row['accuracy']:6.2f} %  {row['certified']:7.2f} %", flush=True)
    with open(arguments.folder / "tradeoff.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (arguments.folder / "tradeoff.svg").write_text(svg(rows, arguments.eps))
    print("wrote", arguments.folder / "tradeoff.csv", "and", arguments.folder / "tradeoff.svg")


if __name__ == "__main__":
    main()
