"""Bundles in object storage, on a real S3 server on loopback: without a rename, a half-written one must not be seen."""

import os
import subprocess
import sys
from pathlib import Path

from sigflow.storage import Location
from tests.integration.conftest import ROOT

# In a process of its own: this one may have opened another s3 before.
CODE = """
import sys
from sigflow.bundle import GRAPH, MANIFEST, pull, push, read_bundle, versions, write_bundle
from sigflow.errors import UserError
from sigflow.storage import locate

bundle, out, registry = locate(sys.argv[1]), locate(sys.argv[2]), locate("s3://bucket/models")
published, written = push(bundle, registry)
assert written and published.place.uri == "s3://bucket/models/gestures/1a2b3c"
assert not push(bundle, registry)[1]
assert [(one.manifest.name, one.manifest.version) for one in versions(registry)] == [("gestures", "1a2b3c")]
assert pull(registry, "gestures", None, out)[1]
assert read_bundle(out).graph == read_bundle(bundle).graph

(published.place / MANIFEST).delete()
assert versions(registry) == []
assert push(bundle, registry)[1]

changed = out / ".." / "changed"
write_bundle(changed, read_bundle(out).manifest, {GRAPH: b"other"})
try:
    push(changed, registry)
    raise SystemExit("a published version was changed")
except UserError as error:
    assert "never changes" in str(error)
(published.place / GRAPH).write_bytes(b"damaged")
try:
    pull(registry, "gestures", None, out / ".." / "third")
    raise SystemExit("a damaged bundle was fetched")
except UserError as error:
    assert "sha256" in str(error)
assert not (out / ".." / "third" / MANIFEST).exists()
"""


def test_bundles_are_pushed_to_s3_and_pulled_from_it(
    s3: dict[str, str], exported_bundle: Location, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", CODE, exported_bundle.uri, str(tmp_path / "fetched")]
    environment = os.environ | s3
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
