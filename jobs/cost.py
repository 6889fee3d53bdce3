"""Say what extracting so many clips would take: hours, bytes, files, memory of the driver; with your prices, money.

Example: python jobs/cost.py --clips 100000 --frames 60 --cpus 240 --cpu-hour 0.02 --gb-month 0.02
What is not given is as it was measured on the sample set; measure your own videos (a hundred of them) and give what
jobs/extract.py says: --cpu-ms is 1000 x CPUs x seconds / frames.
"""

import argparse

from sigflow.pipelines import job
from sigflow.pipelines.cost import Measured, Prices, estimate


def flags(parser: argparse.ArgumentParser) -> None:
    add, measured = parser.add_argument, Measured()
    add("--clips", required=True, type=job.positive(int))
    add("--frames", type=job.positive(float), default=24.4, help="of a clip; default 24.4")
    add("--cpus", required=True, type=job.positive(int), help="of all machines")
    add("--cpu-ms", type=job.positive(float), default=measured.cpu_ms_per_frame, help="of a frame, hands; default 25.5")
    add("--frame-bytes", type=job.positive(float), default=measured.bytes_per_frame, help="as stored; default 416")
    for name, what in (
        ("cpu-hour", "an hour of a CPU"),
        ("gb-month", "a GB for a month"),
        ("requests", "10^6 of them"),
    ):
        add(f"--{name}", type=job.positive(float), metavar="PRICE", help=f"of {what}, in any money")


def main(args: argparse.Namespace) -> dict[str, object]:
    prices = Prices(cpu_hour=args.cpu_hour or 0, gb_month=args.gb_month or 0, million_requests=args.requests or 0)
    measured = Measured(cpu_ms_per_frame=args.cpu_ms, bytes_per_frame=args.frame_bytes)
    return estimate(args.clips, args.frames, args.cpus, measured, prices)


if __name__ == "__main__":
    job.run(__doc__ or "", flags, main)
