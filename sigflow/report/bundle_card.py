"""A bundle's model card, from its manifest alone: what it is, how good, for whom, in which precisions.

Source of the headings: Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sigflow.bundle import Manifest, Precision
from sigflow.report.markdown import escape, table
from sigflow.report.tables import number


def bundle_card(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    """The card as Markdown. `sizes`: bytes of each graph's file."""
    sentences = manifest.task == "sentences"
    names = manifest.labels[1:] if sentences else manifest.labels
    metrics = manifest.metrics
    held = metrics.get("holdout")
    measured = held or metrics["oof"]
    recipes = ", ".join(dict.fromkeys(str(recipe["name"]) for recipe in manifest.recipes))
    source = (
        f"Measured through the exported graph on held-out subjects ({measured['clips']:,} clips), whom no fold saw."
        if held
        else f"Estimated from out-of-fold predictions ({measured['clips']:,} clips): no subject was held out."
    )
    independent = "" if metrics["subject_independent"] else " The folds are not subject-independent."
    sections = {
        "Model details": f"{escape(manifest.name)}, version {manifest.version}, exported {manifest.created}. "
        f"{_members(manifest)} in one graph; recipes {escape(recipes)}. It reads "
        f"landmarks ({', '.join(manifest.parts)}; never pixels) of extractor {escape(manifest.extractor)} and answers "
        f"with {'sentences of signs, gloss by gloss' if sentences else 'one label for each clip'}. "
        f"Temperature {manifest.temperature:g}. {_decoding(manifest)}",
        "Intended use": f"Recognising {len(names)} {'glosses' if sentences else 'classes'}: "
        f"{escape(', '.join(names))}.\n\nAnything else that is shown to it gets one of these answers too. "
        "Not for decisions about people's safety, health or rights without a measurement of its own on the people "
        "and cameras in question. To be completed by its owner: users, and uses to refuse.",
        "Metrics": f"{source}{independent}\n\n{table(_figures(measured))}",
        "Choice of members": _choice(metrics.get("choice")),
        **({"Refit on all clips": _refit(metrics["refit"])} if "refit" in metrics else {}),
        "Precisions": f"{_gate(manifest)}\n\n{table(_precisions(manifest, sizes))}",
        "Quantitative analyses": "By subject:\n\n"
        f"{table(_people(measured['per_subject'], 'wer' if sentences else 'accuracy'))}\n\n"
        f"{'By gloss' if sentences else 'By class'}:\n\n{table(_classes(measured, sentences=sentences))}",
        "Training data": f"Data fingerprint {manifest.provenance['data_fingerprint']}. Where the clips come from, and "
        "what the people in them agreed to, is not recorded here.",
        "Ethical considerations": "Landmarks of bodies and faces are personal data where they can be tied to a person. "
        "A recogniser of signs does not replace an interpreter.",
        "Caveats and recommendations": "Not measured: clips of none of the classes; other cameras and places than the "
        "data's; speed on the device that it will run on; whether people are served equally well beyond the subjects "
        "listed.",
    }
    return f"# Model card: {escape(manifest.name)}" + "".join(f"\n\n## {k}\n\n{v}" for k, v in sections.items()) + "\n"


def _members(manifest: Manifest) -> str:
    count, refits = len(manifest.members), [member["refit"] for member in manifest.members if "refit" in member]
    if not refits:
        return f"{count} members of {sum(int(member['folds']) for member in manifest.members)} fold models"
    epochs = ", ".join(str(course["epochs"]) for refit in refits for course in refit["courses"])
    return (
        f"{count} members, each one model that was trained on all {refits[0]['clips']:,} clips but the held-out "
        f"subjects' ({epochs} epochs),"
    )


def _refit(refit: Mapping[str, Any]) -> str:
    if "folds" not in refit:
        return f"Not in this bundle: {escape(refit['reason'])}."
    figures = [name for name in ("accuracy", "macro_f1", "wer", "ece", "log_loss") if name in refit["folds"]]
    names = {"folds": "fold models", "refitted": "trained on all clips"}
    rows: list[Sequence[str]] = [
        (name, str(its["models"]), *(number(its[key]) for key in figures), number(its["ms"]), f"{its['bytes']:,}")
        for name, its in ((said, refit[key]) for key, said in names.items())
    ]
    verdict = (
        "In this bundle are the models that were trained on all clips. They have no out-of-fold predictions: what is "
        "said of such, the choice of members, their weights and the temperature are of the fold models."
        if refit["exported"]
        else f"In this bundle are the fold models: {escape(refit['reason'])}."
    )
    return (
        f"{verdict} Both were measured on the same {refit['clips']:,} clips of held-out subjects, which chose between "
        f"them: at the most {refit['margin']:g} of {escape(refit['score'])} may be lost.\n\n"
        f"{table((('models', 'number', *figures, 'ms a clip', 'bytes'), rows))}"
    )


def _decoding(manifest: Manifest) -> str:
    how = manifest.decoding
    if how.method == "argmax":
        return "The answer is the likeliest class."
    return (
        f"The answer of a frame is its likeliest class; repeats are one, and blanks (class {how.blank}) are dropped. "
        f"{how.log_output} are for beam searches."
    )


def _choice(choice: Mapping[str, Any] | None) -> str:
    if not choice:
        return "All runs vote alike; nothing was chosen."
    score, nested = choice["score"], choice["nested"]
    judged = {"this bundle": nested["exported"], "the best ensemble": nested["ensemble"]}
    judged |= {"the best run alone": nested["single"]}
    judged |= {f"method {name}{' (judged only)' * (name == 'gated')}": it for name, it in nested["methods"].items()}
    figures = (score, "accuracy", *(() if score == "wer" else ("log_loss", "ece")))
    rows: list[Sequence[str]] = [(name, *(number(found[key]) for key in figures)) for name, found in judged.items()]
    runs: list[Sequence[str]] = [(run["run"], number(run[score]), f"{run['weight']:.3f}") for run in choice["runs"]]
    said = " ".join(f"{warning}." for warning in choice["warnings"])
    return (
        f"Method: {choice['method']}. These figures are of clips that had no say in the choice, in {nested['blocks']} "
        f"blocks by {nested['blocked_by']}. {escape(said)}\n\n{table((('', *figures), rows))}\n\n"
        f"Each run alone:\n\n{table((('run', score, 'weight'), runs))}"
    )


def _gate(manifest: Manifest) -> str:
    gate = manifest.gate
    if gate.get("measured_on") is None:
        return "Only fp32 was measured."
    return (
        f"Compared with fp32 on {gate['clips']} clips ({gate['measured_on']}). int8 was calibrated with "
        f"{gate['calibration_clips']} training clips, none of them among these."
    )


def _precisions(manifest: Manifest, sizes: Mapping[str, int]) -> tuple[Sequence[str], list[Sequence[str]]]:
    rows: list[Sequence[str]] = []
    for name, precision in manifest.precisions.items():
        last = precision.attempts[-1]
        size = f"{sizes[precision.file]:,}" if precision.file else "–"
        agreement = number(last.figures.get("agreement"))
        rows.append((name, last.method, size, agreement, _batch(precision), "; ".join(last.reasons) or "in the bundle"))
    return ("precision", "method", "bytes", "agreement", "depends on the batch by", ""), rows


def _batch(precision: Precision) -> str:
    value = precision.attempts[-1].figures.get("batch")
    return "–" if value is None else f"{value:.1g}"


def _figures(metrics: Mapping[str, Any]) -> tuple[Sequence[str], list[Sequence[str]]]:
    shown = ("accuracy", "macro_f1", "wer", "blank_ratio", "ece", "log_loss")
    return ("figure", "value"), [(name, number(metrics[name])) for name in shown if name in metrics]


def _people(people: Mapping[str, Any], figure: str) -> tuple[Sequence[str], list[Sequence[str]]]:
    return ("subject", figure, "clips"), [
        (name, number(values[figure]), str(values["clips"])) for name, values in people.items()
    ]


def _classes(metrics: Mapping[str, Any], *, sentences: bool) -> tuple[Sequence[str], list[Sequence[str]]]:
    shown = ("error_rate",) if sentences else ("precision", "recall", "f1")
    each = metrics["per_gloss" if sentences else "per_class"]
    return ("label", *shown, "clips"), [
        (name, *(number(values[figure]) for figure in shown), str(values["clips"])) for name, values in each.items()
    ]
