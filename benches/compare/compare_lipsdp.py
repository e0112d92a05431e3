"""LipSDP bounds of dense nets: lipcert (structured, clarabel) beside cvxpy + Clarabel, CVXOPT and eclipse-nn.

Every method runs in a process of its own on the same .npz file; CPU seconds and peak memory are the operating system's accounting of that process.
Peers get a time limit; the values of the peers are floats, those of lipcert are proved.

    python compare_lipsdp.py path/to/lipcert [--nets 5x20,784-400-400-10] [--limit 120] [--only lipcert]

Nets `LxW`: L weights, 4 inputs, 2 outputs, Gaussian, each scaled to a spectral norm uniform in [0.4, 1.8] (after Xu and Sivaranjani, 2024). `a-b-c`:
widths, entries Gaussian with variance 2/fan-in. Needs numpy, cvxpy, clarabel, cvxopt and eclipse-nn from PyPI.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

NETS = "5x20,10x20,20x20,5x100,10x100,20x100,50x40,100x20,5x400,784-400-400-10,784-1000-1000-10"


def make(name, path):
    import numpy as np

    random = np.random.default_rng(7)
    if "x" in name:
        layers, width = map(int, name.split("x"))
        sizes = [4] + [width] * (layers - 1) + [2]
        weights = []
        for n, m in zip(sizes, sizes[1:]):
            w = random.standard_normal((m, n))
            weights.append(w * random.uniform(0.4, 1.8) / np.linalg.norm(w, 2))
    else:
        sizes = list(map(int, name.split("-")))
        weights = [random.standard_normal((m, n)) * np.sqrt(2 / n) for n, m in zip(sizes, sizes[1:])]
    arrays = {f"W{i}": w for i, w in enumerate(weights)}
    arrays |= {f"b{i}": np.zeros(len(w)) for i, w in enumerate(weights)}
    np.savez(path, **arrays)


def load(path):
    import numpy as np

    z = np.load(path)
    return [z[f"W{i}"].astype(float) for i in range(len(z.files) // 2)]


def by_cvxpy(path, solver):
    """The LipSDP-Neuron inequality as one matrix, scaled by the product of norms as the solvers need it."""
    import cvxpy as cp
    import numpy as np

    weights = load(path)
    norms = [np.linalg.norm(w, 2) for w in weights]
    scaled = [w / n for w, n in zip(weights, norms)]
    sizes = [w.shape[1] for w in scaled]
    rho = cp.Variable()
    multipliers = [cp.Variable(n, nonneg=True) for n in sizes[1:]]
    blocks = [[np.zeros((a, b)) for b in sizes] for a in sizes]
    blocks[0][0] = rho * np.eye(sizes[0])
    for i, (w, t) in enumerate(zip(scaled, multipliers)):
        blocks[i + 1][i + 1] = 2 * cp.diag(t)
        blocks[i + 1][i] = -cp.diag(t) @ w
        blocks[i][i + 1] = blocks[i + 1][i].T
    blocks[-1][-1] = blocks[-1][-1] - scaled[-1].T @ scaled[-1]
    problem = cp.Problem(cp.Minimize(rho), [cp.bmat(blocks) >> 0])
    problem.solve(solver=solver)
    return problem.status, float(np.sqrt(max(rho.value, 0)) * np.prod(norms))


def by_eclipse(path, method):
    import torch
    from eclipse_nn.LipConstEstimator import LipConstEstimator

    weights = [torch.tensor(w) for w in load(path)]
    return "done", float(LipConstEstimator(weights=weights).estimate(method=method))


def by_lipcert(path, program, *more):
    ran = subprocess.run(
        [program, "verify", path, "--preprocess", "none", "--threads", "1", "--json", *more], capture_output=True, text=True
    )
    answer = json.loads(ran.stdout)
    bounds = answer["lipschitz"]
    gap = bounds["upper"] / bounds["dual_bound"] - 1 if bounds.get("dual_bound") else float("nan")
    return f"{answer['verdict']}, gap {gap:.1e}", bounds["upper"]


def work(arguments):
    method, path, program = arguments
    if method == "lipcert":
        status, bound = by_lipcert(path, program)
    elif method == "lipcert-clarabel":
        status, bound = by_lipcert(path, program, "--method", "lipsdp-neuron", "--solver", "clarabel")
    elif method == "cvxpy-clarabel":
        status, bound = by_cvxpy(path, "CLARABEL")
    elif method == "cvxopt":
        status, bound = by_cvxpy(path, "CVXOPT")
    else:
        status, bound = by_eclipse(path, {"eclipse": "ECLipsE", "eclipse-fast": "ECLipsE_Fast"}[method])
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    if method.startswith("lipcert"):
        used = children
    else:
        used = own
    print(json.dumps([status, bound, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--nets", default=NETS)
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("--only", default="lipcert,lipcert-clarabel,cvxpy-clarabel,cvxopt,eclipse,eclipse-fast")
    options = parser.parse_args()
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", RAYON_NUM_THREADS="1")
    print("net | method | status | bound | CPU s | MiB")
    for name in options.nets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "net.npz")
            make(name, path)
            for method in options.only.split(","):
                command = [sys.executable, __file__, "--work", method, path, options.program]
                try:
                    limit = options.limit if method != "lipcert" else 3600
                    ran = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
                    status, bound, seconds, memory = json.loads(ran.stdout.splitlines()[-1])
                    print(f"{name} | {method} | {status} | {bound:.9g} | {seconds:.2f} | {memory:.0f}", flush=True)
                except subprocess.TimeoutExpired:
                    print(f"{name} | {method} | not within {options.limit:.0f} s | | |", flush=True)
                except (IndexError, ValueError, TypeError):
                    reason = (ran.stderr.strip().splitlines() or ["nothing printed"])[-1][:80]
                    print(f"{name} | {method} | failed: {reason} | | |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--work":
        work(sys.argv[2:])
    else:
        main()
