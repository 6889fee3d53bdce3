#!/usr/bin/env bash
# The steps that make a machine, or an image (Dockerfile), run sigflow. STEP VARIANT, each step by itself or `all`:
#
#   system    Debian's libraries that the wheels expect; the only step that needs root
#   packages  $PREFIX/venv with the pins of constraints.txt; apart from `code`, so that new code is a small layer
#   code      this checkout in that venv, and MediaPipe's model files, verified, in $PREFIX/models
#   check     that it works: the packages fit together, a model finds no hand in a grey picture, torch is what it should be
#
# VARIANT: serve (no torch), cpu (also the head that starts machines), gpu. PREFIX is /opt/sigflow; TORCH_INDEX is where
# cpu's torch comes from; empty: PyPI, whose torch may bring CUDA.
set -euo pipefail

step=${1:-} variant=${2:-}
case "$step $variant" in
  "all "* | "system "* | "packages "* | "code "* | "check "*) ;;
  *) echo "usage: install.sh all|system|packages|code|check serve|cpu|gpu" >&2; exit 2 ;;
esac
case "$variant" in
  serve) extras="" ;;
  cpu) extras="jobs cloud" ;;
  gpu) extras="jobs" ;;
  *) echo "'$variant' is no variant; choose serve, cpu or gpu" >&2; exit 2 ;;
esac
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${PREFIX:-/opt/sigflow}
python=$prefix/venv/bin/python
export PIP_NO_CACHE_DIR=${PIP_NO_CACHE_DIR-1} PIP_DISABLE_PIP_VERSION_CHECK=1 GLOG_minloglevel=2

system() { # OpenGL for MediaPipe, X11 for the OpenCV that it brings; ssh and rsync for a head that starts machines
  local names="libegl1 libgles2 libgl1 libglib2.0-0 libsm6 libxext6"
  if [ "$variant" != serve ]; then names="$names openssh-client rsync"; fi
  apt-get update -q
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $names
  rm -rf /var/lib/apt/lists/*
}

packages() {
  "${PYTHON:-python3.11}" -m venv "$prefix/venv"
  if [ "$variant" = cpu ]; then
    local index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
    "$python" -m pip install --quiet -c "$source/constraints.txt" torch ${index:+--index-url "$index"}
  fi
  "$python" - "$source/pyproject.toml" $extras > "$prefix/requirements.txt" <<'PY'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
print(*project["dependencies"], *(line for extra in sys.argv[2:] for line in project["optional-dependencies"][extra]), sep="\n")
PY
  "$python" -m pip install --quiet -c "$source/constraints.txt" -r "$prefix/requirements.txt"
}

code() {
  "$python" -m pip install --quiet --no-deps --editable "$source"
  (cd "$source" && XDG_CACHE_HOME=$prefix/fetched "$python" -m sigflow.landmarks.assets)
  rm -rf "$prefix/models"
  mv "$prefix/fetched/sigflow/models" "$prefix/models"
  rm -rf "$prefix/fetched" "$prefix/models/"*.lock
}

check() {
  "$python" -m pip check
  (cd "$prefix" && SIGFLOW_MODELS=$prefix/models "$python" - "$variant" <<'PY')
import importlib.util, sys
import numpy as np
import serve.__main__, serve.app, serve.edge
from sigflow.landmarks.assets import ASSETS, cache_dir, model_path
from sigflow.landmarks.detector import Detector, DetectorOptions

paths = {model: model_path(model) for model in ASSETS}  # each is verified by its sha256
assert not any(path.is_relative_to(cache_dir()) for path in paths.values()), "the model files are not in the installation"
with Detector(DetectorOptions(models=tuple(paths)), paths) as detector:
    detector.add(np.full((128, 128, 3), 127, np.uint8), 0.0)
    (seen,) = detector.finish()
assert not seen.hands and not seen.vectors
variant, found = sys.argv[1], importlib.util.find_spec("torch") is not None
if variant == "serve":
    assert not found, "torch came in"
    print("serve: no torch")
else:
    import ray.data, ray.train, ray.tune, sigflow.pipelines.extract, sigflow.pipelines.train, sigflow.pipelines.tune, torch
    assert (torch.version.cuda is None) == (variant == "cpu"), f"torch {torch.__version__} is not for {variant}"
    print(f"{variant}: torch {torch.__version__}")
PY
  du -sh "$prefix" | cut -f1
}

if [ "$step" = all ]; then
  system; packages; code; check
else
  "$step"
fi
