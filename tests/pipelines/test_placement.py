"""If these fail, a job waits for ever, is refused where it would run, or extraction keeps machines from training."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from sigflow.errors import UserError
from sigflow.pipelines.placement import NODE_TYPES, Kind, Node, Reach, kinds, refuse_impossible

CPU, GPU = {"CPU": 1.0}, {"GPU": 1.0}
SMALL = Node("a1", {"CPU": 4.0, "memory": 8.0 * 2**30})
LARGE = Node("b2", {"CPU": 16.0, "GPU": 2.0})
HEAD = Node("c3", {"CPU": 0.0})
CPUS = Kind(name="cpu", count=16, resources={"CPU": 15})
GPUS = Kind(name="gpu", count=8, resources={"CPU": 4, "GPU": 1})
NO_GPU_KIND = {"ray.io/node-group": "!in(gpu)", "sigflow/kind": "!in(gpu)"}


@pytest.mark.parametrize(
    ("there", "bundle", "places"),
    [
        (Reach((SMALL, LARGE)), CPU, 20),
        (Reach((SMALL, LARGE)), GPU, 2),
        (Reach((SMALL, LARGE)), {"CPU": 3.0}, 6),  # a bundle is never on two machines
        (Reach((SMALL, LARGE)), {"CPU": 1.0, "GPU": 0.25}, 8),
        (Reach((SMALL, LARGE)), {"CPU": 20.0}, 0),
        (Reach((SMALL,)), {"memory": 3.0 * 2**30}, 2),
        (Reach((SMALL,)), GPU, 0),
        (Reach((HEAD,)), CPU, 0),
        (Reach((HEAD,), (CPUS, GPUS)), GPU, 8),  # none runs, eight can come
        (Reach((HEAD, Node("d4", {"CPU": 4, "GPU": 1}, "gpu")), (CPUS, GPUS)), GPU, 8),  # of which one has come
        (Reach((HEAD, Node("d4", {"CPU": 4, "GPU": 1}, "old")), (CPUS, GPUS)), GPU, 9),
    ],
)
def test_how_many_can_run_side_by_side(there: Reach, bundle: Mapping[str, float], places: int) -> None:
    assert there.places(bundle) == places


def test_what_can_never_run_is_refused_with_what_is_missing() -> None:
    there = Reach((SMALL, LARGE))
    refuse_impossible(there, GPU, 2, "training")
    with pytest.raises(UserError, match=r"--workers 3 needs 3 x GPU 1, .* place for 2 .*CPU 16, GPU 2.* at most 2, or"):
        refuse_impossible(there, GPU, 3, "--workers 3")
    with pytest.raises(UserError, match=r"1 x CPU 1, .* place for 0 \(1 node: nothing\); add nodes"):
        refuse_impossible(Reach((HEAD,)), CPU, 1, "extraction")
    with pytest.raises(UserError, match=r"1 x 64.0 GiB"):
        refuse_impossible(there, {"memory": 64 * 2**30}, 1, "it")


def test_what_an_autoscaler_could_bring_is_waited_for_and_no_more() -> None:
    there = Reach((HEAD,), (CPUS, GPUS))
    refuse_impossible(there, GPU, 8, "training")
    with pytest.raises(UserError, match=r"place for 8 .*could have 16 cpu of CPU 15; 8 gpu of CPU 4, GPU 1"):
        refuse_impossible(there, GPU, 9, "--workers 9")
    with pytest.raises(UserError, match="place for 0"):
        refuse_impossible(there, {"GPU": 2.0}, 1, "it")


@pytest.mark.parametrize(
    ("there", "cpus", "selector"),
    [
        (Reach((SMALL,)), 4, {}),
        (Reach((LARGE,), idle_gpus=False), 16, {}),  # there is nothing else
        (Reach((SMALL, LARGE)), 20, {}),  # idle
        (Reach((SMALL, LARGE), idle_gpus=False), 4, {"ray.io/node-id": "!in(b2)"}),
        (Reach((HEAD, LARGE), idle_gpus=False), 16, {}),
        (Reach((HEAD,), (CPUS, GPUS)), 240, NO_GPU_KIND),  # those that come later
        (
            Reach((HEAD, Node("d4", {"CPU": 4, "GPU": 1}, "gpu")), (CPUS, GPUS)),
            240,
            {"ray.io/node-id": "!in(d4)", **NO_GPU_KIND},
        ),
        (Reach((HEAD,), (GPUS,)), 32, {}),
    ],
)
def test_extraction_keeps_off_gpus(there: Reach, cpus: int, selector: dict[str, str]) -> None:
    part = there.without_gpus()
    assert part.places(CPU) == cpus
    assert there.selector(part) == selector


def test_trials_count_the_cpus_beside_the_gpus() -> None:
    assert Reach((SMALL, LARGE), (CPUS, GPUS)).with_gpus().places(CPU) == 16 + 8 * 4


def test_node_types_come_from_the_environment_or_from_what_ray_up_leaves(tmp_path: Path) -> None:
    left = tmp_path / "ray_bootstrap_config.yaml"
    assert kinds({}, left) == ()
    left.write_text(
        yaml.safe_dump(
            {
                "max_workers": 6,
                "head_node_type": "head",
                "available_node_types": {
                    "head": {"resources": {"CPU": 0}, "max_workers": 0},
                    "cpu": {"resources": {"CPU": 16, "memory": 1 << 34}, "max_workers": 16},
                    "gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 2},
                },
            }
        )
    )
    cpu, gpu = kinds({}, left)
    assert (cpu.name, cpu.count, cpu.resources["CPU"]) == ("cpu", 6, 16)
    assert (gpu.count, gpu.resources) == (2, {"CPU": 4, "GPU": 1})
    assert kinds({NODE_TYPES: json.dumps([GPUS.model_dump()])}, left) == (GPUS,)


@pytest.mark.parametrize("text", ["gpu", "{}", '[{"name": "gpu"}]', '[{"name": 1, "count": 1, "resources": {}}]'])
def test_node_types_that_cannot_be_read_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=NODE_TYPES):
        kinds({NODE_TYPES: text}, tmp_path / "none")
