"""Speed of `lipcert certify` beside the plain float32 forward pass of the same network in PyTorch.

Three programs are timed in one run, on the same number of threads, in turns:

1. `recomputed`: the SLL layers in float32, with the diagonal T of every layer recomputed for every batch,
   as the published layers do;
2. `cached`: the same with T computed once before the clock starts;
3. `certify`: the command `lipcert certify`, which bounds the error of every logit and writes certified counts.

Only 3 proves something; 1 and 2 print nothing but logits. See README.md for the command lines.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
IMAGE = (3, 32, 32)
SMALL = {"convs": 20, "channels": 45, "conv_inner": 5, "denses": 7, "dense_inner": 2048, "classes": 10}
PREFIX = "module.model.model."


def safe_inverse(x):
    """1/x, and 0 where x is 0."""
    inverse = 1 / x
    inverse[x == 0] = 0
    return inverse


def conv_factor(kernel, q):
    """1/T of a convolution: row sums of the lattice self-correlation; both exponentials carry the row's index."""
    correlation = F.conv2d(kernel, kernel, padding=kernel.shape[-1] - 1).abs()
    q = q.reshape(-1, 1, 1, 1)
    return safe_inverse((torch.exp(-q) * correlation * torch.exp(q)).sum((1, 2, 3)))


def dense_factor(weight, q):
    """1/T of a dense layer: weighted row sums of the Gram matrix."""
    gram = (torch.exp(-q)[:, None] * weight) @ (weight.t() * torch.exp(q)[None, :])
    return safe_inverse(gram.abs().sum(1))


class ResidualConv:
    """x - 2 conv_transpose2d(t * relu(conv2d(x) + b))."""

    def __init__(self, kernel, bias, q):
        self.kernel, self.bias, self.q = kernel, bias.reshape(1, -1, 1, 1), q
        self.padding = kernel.shape[-1] // 2
        self.cached = conv_factor(kernel, q)

    def __call__(self, x, cached):
        t = self.cached if cached else conv_factor(self.kernel, self.q)
        r = F.conv2d(x, self.kernel, padding=self.padding) + self.bias
        s = t.reshape(1, -1, 1, 1) * F.relu(r)
        return x - 2 * F.conv_transpose2d(s, self.kernel, padding=self.padding)


class ResidualDense:
    """x - 2 A^T(t * relu(A x + b))."""

    def __init__(self, weight, bias, q):
        self.weight, self.bias, self.q = weight, bias.reshape(1, -1), q
        self.cached = dense_factor(weight, q)

    def __call__(self, x, cached):
        t = self.cached if cached else dense_factor(self.weight, self.q)
        s = t * F.relu(F.linear(x, self.weight) + self.bias)
        return x - 2 * F.linear(s, self.weight.t())


class Network:
    """The forward pass that a checkpoint of the published layout describes."""

    def __init__(self, state):
        state = {name.removeprefix("module.").removeprefix("model.model."): value for name, value in state.items()}
        indices = sorted({int(name.split(".")[0]) for name in state})
        fields = lambda i, *names: [state[f"{i}.{name}"].float() for name in names]
        self.convs = [ResidualConv(*fields(i, "kernel", "bias", "q")) for i in indices if f"{i}.kernel" in state]
        self.denses = [ResidualDense(*fields(i, "weight", "bias", "q")) for i in indices[:-1] if f"{i}.weight" in state]
        weight, self.head_bias = fields(indices[-1], "weight", "bias")
        self.head_weight = weight / weight.norm(dim=1, keepdim=True).clamp_min(1e-12)
        self.channels = self.convs[0].kernel.shape[1]
        self.mean = torch.tensor(CIFAR10_MEAN).reshape(1, 3, 1, 1)

    def __call__(self, images, cached):
        x = images - self.mean
        x = F.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1]))
        for conv in self.convs:
            x = conv(x, cached)
        x = F.avg_pool2d(x, 4, divisor_override=4).flatten(1)
        for dense in self.denses:
            x = dense(x, cached)
        return F.linear(x, self.head_weight, self.head_bias)

    def describe(self):
        dense = self.denses[0].weight.shape if self.denses else (0, 0)
        kernel = self.convs[0].kernel.shape
        return (
            f"{len(self.convs)} convolutions {kernel[1]} -> {kernel[0]}, "
            f"{len(self.denses)} dense {dense[1]} -> {dense[0]}, {self.head_weight.shape[0]} classes"
        )


def make_small(path, seed=0):
    """Writes a random network of the published size `small` in the published checkpoint layout."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)

    def xavier(*shape):
        field = math.prod(shape[2:])
        return normal(*shape) * math.sqrt(2 / (field * (shape[0] + shape[1])))

    def uniform(fan_in, *shape):
        return (2 * torch.rand(*shape, generator=generator) - 1) / math.sqrt(fan_in)

    size, state = SMALL, {}
    features = size["channels"] * (IMAGE[1] // 4) * (IMAGE[2] // 4)
    for i in range(1, size["convs"] + 1):
        inner, channels = size["conv_inner"], size["channels"]
        state[f"{PREFIX}{i}.kernel"] = xavier(inner, channels, 3, 3)
        state[f"{PREFIX}{i}.bias"] = uniform(9 * channels, 1, inner, 1, 1)
        state[f"{PREFIX}{i}.q"] = normal(inner)
    first = size["convs"] + 3
    for i in range(first, first + size["denses"]):
        inner = size["dense_inner"]
        state[f"{PREFIX}{i}.weight"] = xavier(inner, features)
        state[f"{PREFIX}{i}.bias"] = uniform(features, 1, inner)
        state[f"{PREFIX}{i}.q"] = normal(inner)
    head = first + size["denses"]
    state[f"{PREFIX}{head}.weight"] = xavier(size["classes"], features)
    state[f"{PREFIX}{head}.bias"] = uniform(features, size["classes"])
    torch.save({"epoch": 0, "global_step": 0, "model_state_dict": state}, path)


def time_torch(network, batches, cached):
    """Images a second of one pass over the batches."""
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            network(batch, cached)
    return sum(len(batch) for batch in batches) / (time.perf_counter() - start)


def time_certify(arguments):
    """Images a second of `lipcert certify`: by its own report, and by the wall clock of the whole command."""
    command = [arguments.lipcert, "certify", arguments.model, "--data", f"cifar10:{arguments.data}"]
    command += ["--preprocess", "cifar10", "--threads", str(arguments.threads), "--limit", str(arguments.certify_limit)]
    command += ["--quiet", "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    if done.returncode not in (0, 1):
        sys.exit(f"error: `{' '.join(map(str, command))}` ended with {done.returncode}\n{done.stderr}")
    result = json.loads(done.stdout)
    return result.get("samples_per_second"), result["samples"] / wall


def compare(arguments):
    torch.set_num_threads(arguments.threads)
    file = torch.load(arguments.model, map_location="cpu", weights_only=True)
    network = Network(file.get("model_state_dict", file))
    generator = torch.Generator().manual_seed(0)
    batches = [torch.rand(arguments.batch, *IMAGE, generator=generator) for _ in range(arguments.batches)]
    print(f"{arguments.model}: {network.describe()}")
    print(f"torch {torch.__version__}, {arguments.threads} threads, batch {arguments.batch}, {arguments.batches} batches a repetition")

    rates = {"recomputed": [], "cached": [], "certify": [], "certify (wall)": []}
    with torch.inference_mode():
        network(batches[0], False)
    for _ in range(arguments.repetitions):
        rates["recomputed"].append(time_torch(network, batches, False))
        rates["cached"].append(time_torch(network, batches, True))
        if arguments.lipcert:
            own, wall = time_certify(arguments)
            if own is not None:
                rates["certify"].append(own)
            rates["certify (wall)"].append(wall)

    medians = {name: statistics.median(values) for name, values in rates.items() if values}
    for name, median in medians.items():
        ratios = "".join(f"  {median / medians[other]:6.2f} x {other}" for other in ("recomputed", "cached") if other != name)
        print(f"{name:15} {median:10.1f} images/s  ({min(rates[name]):.1f} .. {max(rates[name]):.1f}){ratios}")
    if arguments.json:
        record = {"threads": arguments.threads, "batch": arguments.batch, "rates": rates, "medians": medians}
        Path(arguments.json).write_text(json.dumps(record, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    small = commands.add_parser("make-small", help="write a random network of the published size `small`")
    small.add_argument("path", type=Path)
    small.add_argument("--seed", type=int, default=0)
    run = commands.add_parser("compare", help="time PyTorch and `lipcert certify` in turns")
    run.add_argument("model", type=Path, help="checkpoint of the published layout")
    run.add_argument("--batch", type=int, default=250)
    run.add_argument("--batches", type=int, default=4, help="batches in one repetition")
    run.add_argument("--threads", type=int, default=1)
    run.add_argument("--repetitions", type=int, default=5)
    run.add_argument("--lipcert", type=Path, help="release binary; without it only PyTorch is timed")
    run.add_argument("--data", type=Path, help="folder with CIFAR-10 in the official binary layout")
    run.add_argument("--certify-limit", type=int, default=1000, help="images that one `certify` handles")
    run.add_argument("--json", help="also write all rates to this file")
    arguments = parser.parse_args()
    if torch is None:
        sys.exit("error: this comparison needs PyTorch, and `import torch` failed: install the package `torch`")
    if arguments.command == "make-small":
        make_small(arguments.path, arguments.seed)
    elif arguments.lipcert and not arguments.data:
        parser.error("--lipcert needs --data")
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
