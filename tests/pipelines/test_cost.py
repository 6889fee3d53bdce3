"""If these fail, somebody plans a cluster, or money, by other figures than were measured."""

import re
from pathlib import Path

import pytest

from sigflow.pipelines.cost import Measured, Prices, estimate

README = (Path(__file__).parents[2] / "cluster/README.md").read_text()
SHOWN = Prices(cpu_hour=0.02, gb_month=0.02, million_requests=5)
NONE = Prices()


def test_twice_the_clips_are_twice_the_work_and_twice_the_cpus_half_the_time() -> None:
    one, two = (estimate(clips, 100.0, 100, Measured(), SHOWN) for clips in (1_000_000, 2_000_000))
    for name in ("cpu_hours", "gb", "cost", "files"):
        assert two[name] == pytest.approx(2 * one[name], rel=0.01)
    assert estimate(1_000_000, 100.0, 200, Measured(), NONE)["hours"] == pytest.approx(one["hours"] / 2, rel=0.02)
    assert estimate(1_000_000, 100.0, 100, Measured(), NONE)["cost"] == 0


def test_more_cpus_than_a_driver_can_feed_gain_nothing() -> None:
    many, more = (estimate(10_000_000, 24.4, cpus, Measured(), NONE) for cpus in (100_000, 1_000_000))
    assert many["bound"] == "driver"
    assert many["hours"] == more["hours"]
    assert estimate(10_000_000, 24.4, 100, Measured(), NONE)["bound"] == "cpus"


def test_a_cpu_for_each_clip_is_the_most_that_helps() -> None:
    assert estimate(10, 1e6, 10, Measured(), NONE)["hours"] == estimate(10, 1e6, 1000, Measured(), NONE)["hours"]


def test_the_table_in_the_readme_is_what_the_calculator_says() -> None:
    rows = re.findall(r"^\| ([\d,]+) clips, (\d+) CPUs \| (.+) \|$", README, re.MULTILINE)
    assert [int(clips.replace(",", "")) for clips, _, _ in rows] == [1_000, 100_000, 10_000_000]
    for clips, cpus, cells in rows:
        found = estimate(int(clips.replace(",", "")), 24.4, int(cpus), Measured(), SHOWN)
        said = [float(cell.replace(",", "")) for cell in cells.split(" | ")]
        names = ("cpu_hours", "hours", "gb", "files", "files_compacted", "driver_gib", "cost")
        assert said == [found[name] for name in names]
