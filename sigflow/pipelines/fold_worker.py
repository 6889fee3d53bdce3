"""What one worker of the fold mesh does. It imports little: every worker of every run starts with that."""

from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed

from sigflow import runs
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import words
from sigflow.errors import UserError
from sigflow.experiments.events import write_events
from sigflow.pipelines.board import Teller
from sigflow.pipelines.finetune import start_of
from sigflow.pipelines.sharing import borrowed_clips
from sigflow.storage import Location
from sigflow.training import Checkpoint, Epoch, Start, Team, fit


def work(config: dict[str, Any]) -> None:
    """One worker of the mesh. `report` is a barrier of all workers, so each calls it once, at its end."""
    run, out, todo, size = config["run"], config["out"], config["todo"], config["size"]
    context = ray.train.get_context()
    torch.set_num_threads(1)  # the CPU that it asked for
    teams = context.get_world_size() // size
    number, rank = divmod(context.get_world_rank(), size)
    team = Team()
    if size > 1:  # every worker has to make every group, in the same order
        ranks = [list(range(first, first + size)) for first in range(0, teams * size, size)]
        team = Team(rank, size, [torch.distributed.new_group(each) for each in ranks][number])
    teller = Teller(config["board"])
    with borrowed_clips(config["clips"], config["unlabelled"]) as (clips, unlabelled):
        for fold in todo[number::teams]:
            if not runs.fold_is_done(out, fold.number, run.key):

                def report(epoch: Epoch, fold: Fold = fold) -> None:
                    if rank == 0:
                        teller.say(fold.number, epoch)

                start = start_of(config["init"], config["begins"][fold.number]) if config["init"] else None
                device = ray.train.torch.get_device()
                try:
                    train_fold(
                        run, clips, fold, out,
                        device=device, team=team, report=report, start=start, unlabelled=unlabelled,
                    )  # fmt: skip
                except UserError as error:  # it would come again, however often it was tried; others can be trained
                    if size > 1:
                        raise  # the rest of the team would wait for this worker
                    ray.get(config["board"].fail.remote(fold.number, str(error)))
    teller.flush()
    ray.train.report({})


def train_fold(
    run: runs.Run,
    clips: Clips,
    fold: Fold,
    out: Location,
    *,
    device: torch.device | None = None,
    team: Team | None = None,
    report: Any = lambda epoch: None,
    start: Start | None = None,
    unlabelled: Clips | None = None,
) -> None:
    """Fit one fold and commit it; what a killed worker left of it is taken up. Of a team the first worker writes."""
    team = team or Team()
    keys = [f"{key}/{fold.number}" for key in (run.key, *run.continues)]
    checkpoint = Checkpoint(out / f"fold_{fold.number}" / "checkpoint.pt", keys[0], tuple(keys[1:]))
    result = fit(
        run.recipe, clips, run.labels, fold, device=device, checkpoint=checkpoint, team=team, report=report,
        start=start, unlabelled=unlabelled,
    )  # fmt: skip
    if team.rank:
        return
    write_events(out / "tensorboard" / f"fold_{fold.number}", result.history)
    ids, subjects = (clips.table[name].take(fold.test).to_pylist() for name in ("clip_id", "subject"))
    labels = [" ".join(sentence) for sentence in words(clips, sentences=run.recipe.sentences)]
    runs.write_fold(
        out, run.key, fold.number,
        weights=result.weights,
        test=runs.predictions_table(
            ids, fold.number, [labels[i] for i in fold.test], subjects, result.test_probs
        ),
        summary={
            "best_epoch": result.best_epoch, "metrics": result.metrics, "history": result.history,
            "alarms": [alarm._asdict() for alarm in result.alarms], "pretraining": result.pretraining,
        },
    )  # fmt: skip
