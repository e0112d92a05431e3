#!/usr/bin/env bash
# Puts the parts of libtorch 2.11.0 that training needs into `.libtorch` (or the folder that is given, which must be new, empty or of this script).
#
# The files come from three wheels of the Python package index, each checked against its SHA-256. Of the wheel of PyTorch only the CPU half is
# kept (0.5 GB); on a machine with CUDA, a full PyTorch 2.11.0 on LD_LIBRARY_PATH adds the other half, see docs/training.md.
#
# Needs python3, pip, a C++ compiler for the crate that calls libtorch, and 1.1 GB of disk, 0.6 of which are given back. If one of the programs is
# missing, apt-get installs it where this runs as root; else the script says what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=2.11.0
folder=${1:-.libtorch}
stamp=.complete-$version
packages="python3 python3-pip g++"

say() { echo "libtorch: $*" >&2; }

# What this script has put there it may replace; nothing else.
foreign() { [ -e "$1" ] && [ -n "$(ls -A "$1")" ] && ! ls -d "$1"/.complete-* >/dev/null 2>&1; }
foreign "$folder" && { say "\`$folder\` holds files that are not of this script: name another folder"; exit 1; }

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || { say "these files are for Linux on x86-64, this is $(uname -s) on $(uname -m)"; exit 1; }

compiler() { command -v c++ || command -v g++; }

[ -e "$folder/$stamp" ] && compiler >/dev/null && exit 0

missing() {
    command -v python3 >/dev/null || echo python3
    python3 -m pip --version >/dev/null 2>&1 || echo pip
    compiler >/dev/null || echo "a C++ compiler"
}
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $packages"
    # shellcheck disable=SC2086
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages; } >&2 || true
fi
if [ -n "$(missing)" ]; then
    say "missing: $(missing | paste -sd, | sed 's/,/, /g')"
    say "on Debian and Ubuntu: apt-get install $packages"
    exit 1
fi

[ -e "$folder/$stamp" ] && exit 0

# Beside its place, so that what was interrupted is never taken for the whole.
mkdir -p "$(dirname "$folder")"
draft=$(mktemp -d "${folder%/}.part.XXXXXX")
wheels=$(mktemp -d)
trap 'rm -rf "$wheels" "$draft"' EXIT
chmod 755 "$draft"

cat > "$wheels/requirements.txt" <<'WHEELS'
torch==2.11.0 --hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
WHEELS
say "fetching $version (544 MB)"
# The tags name one file each, whatever Python runs this.
python3 -m pip download --quiet --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
    --disable-pip-version-check --implementation cp --python-version 3.11 --abi cp311 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
    --dest "$wheels" --requirement "$wheels/requirements.txt"

say "unpacking into $folder"
python3 - "$wheels" "$draft" "$stamp" "$version" <<'PYTHON'
import glob, os, sys, zipfile

wheels, folder, stamp, version = sys.argv[1:]
# What the CPU half needs; the other two files are libraries that it names.
libraries = {
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
}
kept = set()
for wheel in glob.glob(os.path.join(wheels, "*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            licence = "license" in name.lower()
            if name in libraries or name.startswith("torch/include/") or licence:
                archive.extract(name, folder)
                kept.add(name)
if missing := libraries - kept:
    sys.exit(f"libtorch: the wheels do not hold {sorted(missing)}")
# The linker is told of a library `torch`; all that is used of it lies in this one.
os.symlink("libtorch_cpu.so", os.path.join(folder, "torch/lib/libtorch.so"))
for name in ("torch/build-version", stamp):
    with open(os.path.join(folder, name), "w") as file:
        file.write(version + "\n")
PYTHON

rm -rf "$folder"
mv "$draft" "$folder"
say "done"
