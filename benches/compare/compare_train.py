"""Time of a training step of an SLL network beside PyTorch with the published layers.

Two programs take the same number of steps on the same random images, in turns, each in a process of its own:

1. `torch`: float32 layers as the authors' code computes them, T anew in every forward pass, gradients by autograd, Adam;
2. `lipcert`: the program `lipcert-train`, which `lipcert train` starts, with the same network, loss and optimiser.

Printed are medians over the steps without the first, wall clock and CPU, and the peak memory of each process. See README.md.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

CIFAR10_MEAN = (0.4913, 0.4821, 0.4465)
SIZES = {
    "sll-small": (20, 7, 45, 5, 2048),
    "tiny": (6, 3, 15, 5, 256),
}
OFFSET, TEMPERATURE = 1.5 * math.sqrt(2), 0.25


def safe_inverse(x):
    """1/x, and 0 where x is 0."""
    return torch.where(x == 0, torch.zeros_like(x), 1 / x)


def network(convolutions, denses, width, inner, hidden):
    """The published layers, in our words: T from the kernel's self-correlation and from the Gram matrix, anew in every pass.

    The contraction of the dense layer is that of araujoalexandre/Lipschitz-SLL-Networks, `core/models/layers.py`: its order decides the time.
    """

    class Conv(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.empty(inner, width, 3, 3))
            torch.nn.init.xavier_normal_(self.kernel)
            self.bias = torch.nn.Parameter(torch.zeros(1, inner, 1, 1))
            self.q = torch.nn.Parameter(torch.randn(inner))

        def forward(self, x):
            pairs = F.conv2d(self.kernel, self.kernel, padding=2).abs()
            q = self.q.reshape(-1, 1, 1, 1)
            t = safe_inverse((torch.exp(-q) * pairs * torch.exp(q)).sum((1, 2, 3)))
            r = t.reshape(1, -1, 1, 1) * F.relu(F.conv2d(x, self.kernel, padding=1) + self.bias)
            return x - 2 * F.conv_transpose2d(r, self.kernel, padding=1)

    class Dense(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(hidden, features))
            torch.nn.init.xavier_normal_(self.weight)
            self.bias = torch.nn.Parameter(torch.zeros(1, hidden))
            self.q = torch.nn.Parameter(torch.randn(hidden))

        def forward(self, x):
            q, inverse = torch.exp(self.q), torch.exp(-self.q)
            gram = torch.einsum("i,ik,kj,j -> ij", inverse, self.weight, self.weight.T, q)
            r = safe_inverse(gram.abs().sum(1)) * F.relu(F.linear(x, self.weight) + self.bias)
            return x - 2 * F.linear(r, self.weight.T)

    class Head(torch.nn.Linear):
        def forward(self, x):
            return F.linear(x, F.normalize(self.weight, p=2, dim=1), self.bias)

    class Start(torch.nn.Module):
        def forward(self, x):
            return F.pad(x - torch.tensor(CIFAR10_MEAN).reshape(1, 3, 1, 1), (0, 0, 0, 0, 0, width - 3))

    features = width * 64
    return torch.nn.Sequential(
        Start(),
        *[Conv() for _ in range(convolutions)],
        torch.nn.AvgPool2d(4, divisor_override=4),
        torch.nn.Flatten(),
        *[Dense(features) for _ in range(denses)],
        Head(features, 10),
    )


def run_torch(arguments):
    """Steps in this process; prints one line of JSON for each."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = network(*SIZES[arguments.size])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.9))
    data = np.load(arguments.data)
    images, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["y"].astype(np.int64))
    for step in range(arguments.steps):
        part = slice(step * arguments.batch, (step + 1) * arguments.batch)
        x, y = images[part].float() / 255, labels[part]
        optimizer.zero_grad()
        logits = net(x)
        loss = F.cross_entropy((logits - OFFSET * F.one_hot(y, 10)) / TEMPERATURE, y) * TEMPERATURE
        loss.backward()
        optimizer.step()
        print(json.dumps({"step": step + 1, "loss": loss.item()}), flush=True)


def cpu_of(pid):
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def follow(process, steps):
    """Reads lines of JSON; returns wall and CPU seconds of each step but the first, and peak memory in MiB."""
    rows, last = [], None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == "failed":
            sys.exit(event["message"])
        if "event" in event and event["event"] != "step":
            continue
        # several steps may be told of at once
        done = event["step"]
        now = (time.perf_counter(), cpu_of(process.pid), done)
        if last is not None:
            rows.append(((now[0] - last[0]) / (done - last[2]), (now[1] - last[1]) / (done - last[2])))
        last = now
        if done == steps - 1:
            break
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    process.kill()
    process.wait()
    return rows, peak


def start_torch(arguments):
    command = [sys.executable, __file__, "torch", "--size", arguments.size, "--data", arguments.data, "--threads", str(arguments.threads)]
    return subprocess.Popen(command + ["--steps", str(arguments.steps), "--batch", str(arguments.batch)], stdout=subprocess.PIPE, text=True)


def start_lipcert(arguments, folder):
    convolutions, denses, width, inner, hidden = SIZES[arguments.size]
    layers = [
        {"kind": "pad-channels", "channels": width},
        {"kind": "sll-conv", "inner": inner, "repeat": convolutions},
        {"kind": "average-pool", "size": 4},
        {"kind": "flatten"},
        {"kind": "sll-dense", "inner": hidden, "repeat": denses},
        {"kind": "normalized-head"},
    ]
    config = {
        "schema": "lipcert/train-config/1",
        "data": {"train": f"npz:{arguments.data}"},
        "network": {"name": "sll", "preprocess": "cifar10", "layers": layers},
        "loss": {"kind": "cross-entropy", "offset": OFFSET, "temperature": TEMPERATURE},
        "optimizer": {"kind": "adam", "rate": 1e-3, "betas": [0.5, 0.9]},
        "train": {"epochs": 1, "batch": arguments.batch},
    }
    job = {"job": "train", "config": config, "folder": folder, "device": "cpu", "threads": arguments.threads}
    process = subprocess.Popen([arguments.lipcert_train], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return process


def compare(arguments):
    rng = np.random.default_rng(0)
    count = arguments.steps * arguments.batch
    with tempfile.TemporaryDirectory() as folder:
        arguments.data = f"{folder}/random.npz"
        np.savez(arguments.data, x=rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), y=np.arange(count) % 10)
        rows = {"torch": [], "lipcert": []}
        peaks = {"torch": 0.0, "lipcert": 0.0}
        for _ in range(arguments.turns):
            for name, start in [("torch", lambda: start_torch(arguments)), ("lipcert", lambda: start_lipcert(arguments, folder))]:
                found, peak = follow(start(), arguments.steps)
                rows[name] += found
                peaks[name] = max(peaks[name], peak)
    medians = {name: [statistics.median(column) for column in zip(*found)] for name, found in rows.items()}
    for name, (wall, cpu) in medians.items():
        print(f"{name:8} {wall:7.3f} s wall  {cpu:7.3f} s CPU  {peaks[name]:6.0f} MiB  ({len(rows[name])} steps)")
    ratio = [medians["lipcert"][k] / medians["torch"][k] for k in range(2)]
    print(f"ratio    {ratio[0]:7.3f}        {ratio[1]:7.3f}        {peaks['lipcert'] / peaks['torch']:6.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("compare", "torch"):
        command = commands.add_parser(name)
        command.add_argument("--size", choices=SIZES, default="sll-small")
        command.add_argument("--steps", type=int, default=6)
        command.add_argument("--batch", type=int, default=64)
        command.add_argument("--threads", type=int, default=1)
        if name == "torch":
            command.add_argument("--data", required=True)
        else:
            command.add_argument("--turns", type=int, default=2)
            command.add_argument("--lipcert-train", default="target/release/lipcert-train")
    arguments = parser.parse_args()
    run_torch(arguments) if arguments.command == "torch" else compare(arguments)


if __name__ == "__main__":
    main()
