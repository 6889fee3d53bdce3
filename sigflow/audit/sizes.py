"""Is there enough of everything: clips of a class, clips of a fold, clips for the parameters."""

from sigflow.audit.plan import Code, Finding, Plan, listed
from sigflow.models.portfolio import Portfolio
from sigflow.models.recogniser import PortfolioConfig, Recogniser
from sigflow.models.rocket import RocketConfig, RocketModel

FEW_CLIPS = 75  # of a class: what the earlier systems aimed at, between the 50 and 100 that they asked for
SMALL_FOLD = 10  # clips: one more right or wrong moves the figure by ten points
LEAST_OF_CLASS = 2  # of a class in a test fold: with one clip its recall can only be 0 or 1
MOST_PARAMETERS = 1000  # a clip: of the earlier systems the one with 59,000 learnt nothing, one with 660 failed too
_MORE = "record more clips"


def large_enough(plan: Plan) -> list[Finding]:
    """Findings on numbers of clips alone."""
    return [*_few_clips(plan), *_small_parts(plan), *_lonely(plan), *_untrained(plan), *_parameters(plan)]


def _few_clips(plan: Plan) -> list[Finding]:
    counts = plan.counts(plan.inside.nonzero()[0])
    few = sorted((count, name) for name, count in counts.items() if count < FEW_CLIPS)
    if not few:
        return []
    worst = listed([f"{name}: {count}" for count, name in few])
    return [
        Finding(
            code="few_clips", severity="warning",
            evidence=f"{len(few)} of {len(counts)} classes have fewer than {FEW_CLIPS} clips ({worst})",
            mend=f"{_MORE} of them, or leave the rarest out with --set classes.min_clips=N",
        )
    ]  # fmt: skip


def _small_parts(plan: Plan) -> list[Finding]:
    folds, found = plan.folds, []
    checks: tuple[tuple[str, Code, str], ...] = (
        ("test", "small_test_fold", "its figure means nothing"),
        ("stop", "small_stop_part", "the epoch that it picks is chance"),
    )
    for role, code, why in checks:
        sizes = [(fold.number, len(getattr(fold, role))) for fold in folds.folds]
        small = [f"fold {number}: {size}" for number, size in sizes if size < SMALL_FOLD]
        if small:
            found.append(
                Finding(
                    code=code,
                    severity="error" if role == "test" and not _made_for_few(plan) else "warning",
                    evidence=f"{len(small)} of {len(sizes)} {role} parts have under {SMALL_FOLD} clips "
                    f"({listed(small)}): {why}",
                    mend=f"use fewer folds, {_MORE}, or put subjects with few clips together under one name",
                )
            )
    if 0 < len(folds.holdout) < SMALL_FOLD:
        found.append(
            Finding(
                code="small_holdout", severity="warning",
                evidence=f"the holdout has {len(folds.holdout)} clips: its figures mean nothing",
                mend="hold out more subjects, or none",
            )
        )  # fmt: skip
    if not folds.subject_independent:
        found.append(
            Finding(
                code="not_subject_independent", severity="warning",
                evidence=f"with --folds {folds.spec} the same person may be trained on and tested",
                mend="name the subjects of the clips and use --folds 5 or subject; else expect less of new people",
            )
        )  # fmt: skip
    return found


def _lonely(plan: Plan) -> list[Finding]:
    total = plan.counts(plan.inside.nonzero()[0])
    lonely = [
        (name, fold.number)
        for fold in plan.folds.folds
        for name, count in sorted(plan.counts(fold.test).items())
        if count < LEAST_OF_CLASS
    ]
    if not lonely:
        return []
    shown = listed([f"{name} in fold {number}, {total[name]} over all folds" for name, number in lonely])
    # A word error rate is a mean over all words, which one rare gloss hardly moves; macro-F1 is a mean over classes.
    return [
        Finding(
            code="lonely_test_class",
            severity="warning" if plan.recipe.sentences or _made_for_few(plan) else "error",
            evidence=f"test folds have fewer than {LEAST_OF_CLASS} clips of a class that they test ({shown})",
            mend=f"use fewer folds, {_MORE} of these classes by more subjects, leave them out with "
            "--set classes.min_clips=N, or force this and read the figures pooled over the folds alone",
        )
    ]  # fmt: skip


def _untrained(plan: Plan) -> list[Finding]:
    untrained = [
        (name, fold.number)
        for fold in plan.folds.folds
        for name in sorted(set(plan.counts(fold.test)) - set(plan.counts(fold.train)))
    ]
    if not untrained:
        return []
    shown = listed([f"{name} in fold {number}" for name, number in untrained])
    return [
        Finding(
            code="untrained_class", severity="warning",
            evidence=f"folds test classes of which their train part has no clip ({shown}): they cannot be recognised",
            mend="have these classes recorded by three subjects or more, or use fewer folds",
        )
    ]  # fmt: skip


def _parameters(plan: Plan) -> list[Finding]:
    count = trained_parameters(plan)
    fewest = min(len(fold.train) for fold in plan.folds.folds)
    if count <= MOST_PARAMETERS * fewest:
        return []
    return [
        Finding(
            code="too_many_parameters", severity="warning" if _made_for_few(plan) else "error",
            evidence=f"{count:,} trained parameters for {fewest} training clips, {count / fewest:,.0f} a clip; "
            f"more than {MOST_PARAMETERS:,} learn the clips by heart",
            mend=f"{_MORE}, or take a smaller model, such as one with less in --set model.hidden",
        )
    ]  # fmt: skip


def _made_for_few(plan: Plan) -> bool:
    """Whether few clips are what the recipe is for: a closed-form model, with a penalty chosen by leave-one-out.

    It cannot be over-parametrised, and in a portfolio it takes over where the others fail on the stop part. Its folds
    are small as well, and say something only together.
    """
    model = plan.recipe.model
    members = model.members if isinstance(model, PortfolioConfig) else (model,)
    return any(isinstance(member, RocketConfig) for member in members)


def trained_parameters(plan: Plan) -> int:
    """Numbers that gradients move.

    A portfolio's members are trained each for itself, so that the largest counts. A rocket's head is a ridge regression
    with the penalty of the least leave-one-out error: it has never more degrees of freedom than clips, and counts 0.
    """
    whole = _untrained_model(plan)  # with the auxiliary heads, which are trained too
    if isinstance(whole.model, RocketModel):
        return 0
    members = list(whole.model.members) if isinstance(whole.model, Portfolio) else [whole]
    return max(
        0 if isinstance(member, RocketModel) else sum(p.numel() for p in member.parameters() if p.requires_grad)
        for member in members
    )


def _untrained_model(plan: Plan) -> Recogniser:
    recipe = plan.recipe
    return Recogniser(recipe.frontend, recipe.model, len(plan.labels), recipe.auxiliary.heads)
