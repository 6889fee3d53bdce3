"""If this fails, a server starts with another graph than it was told to, or finds out in a replica."""

import subprocess
import sys

from sigflow.storage import Location


def test_a_precision_that_the_bundle_lacks_is_refused_before_a_replica_starts(exported_bundle: Location) -> None:
    # In a process of its own: importing Ray Serve gives warnings of its own code.
    command = [sys.executable, "-m", "serve", "--bundle", exported_bundle.uri, "--precision", "int8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 2
    assert "has no int8 graph (not exported); choose fp32" in done.stderr.splitlines()[-1]
