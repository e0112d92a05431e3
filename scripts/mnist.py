#!/usr/bin/env python3
"""MNIST with SLL, AOL and CPL layers, side by side.

usage: scripts/mnist.py --data mnist:DIR [-o DIR] [--lipcert PROGRAM]

Trains the three examples one after the other with `lipcert train` and prints what was proved of each. The folders of the runs go below `-o`.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("sll", "aol", "cpl")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="mnist:DIR")
    parser.add_argument("-o", dest="folder", type=Path, default=Path("runs"))
    parser.add_argument("--lipcert", default=str(ROOT / "target/release/lipcert"))
    arguments = parser.parse_args()
    rows = []
    for family in FAMILIES:
        config = ROOT / f"examples/mnist-{family}.toml"
        command = [arguments.lipcert, "train", config, "--data", arguments.data, "-o", arguments.folder / f"mnist-{family}", "--force", "--json"]
        started = time.monotonic()
        run = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE)
        if run.returncode == 2:
            sys.exit(run.returncode)
        result = json.loads(run.stdout)["certify"]
        certified = {row["epsilon"]: 100 * row["accuracy"] for row in result["certified"]}
        rows.append((family, result["verdict"], 100 * result["accuracy"], certified, time.monotonic() - started))
    epsilons = list(rows[0][3])
    print("family  verdict      accuracy  " + "  ".join(f"ε = {epsilon:>5}" for epsilon in epsilons) + "  seconds")
    for family, verdict, accuracy, certified, seconds in rows:
        shown = "  ".join(f"{certified[epsilon]:7.2f} %" for epsilon in epsilons)
        print(f"{family:6}  {verdict:11}  {accuracy:6.2f} %  {shown}  {seconds:7.0f}")


if __name__ == "__main__":
    main()
