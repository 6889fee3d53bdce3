"""The model card: who may use the model for what, and what is known of it.

Source of the headings: Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Sequence

from sigflow.report.markdown import escape, table
from sigflow.report.material import Material, edits, headline, method, verdict
from sigflow.report.tables import classes_table, confusions_table, data_table, figures_table, gates_table


def model_card(material: Material) -> str:
    """The card as Markdown. It says only what the run itself knows, and names what a person has to add."""
    run, metrics = material.run, material.metrics
    kind = "sentences of signs, gloss by gloss" if material.sentences else "one label for each clip"
    names = run.labels[1:] if material.sentences else run.labels
    parts = ", ".join(run.recipe.parts)
    held = f"Held out of training: {escape(', '.join(run.holdout))}." if run.holdout else "No subject was held out."
    gates = table(gates_table(material)) if metrics["gates"] else "The recipe sets no gates."
    independent = (
        "No subject is in two parts of a fold: whoever is tested was neither trained on nor used to pick the epoch."
        if run.subject_independent
        else "The folds are not subject-independent: the same person may be trained on and tested."
    )
    labels = "" if material.sentences else f"\n\n{table(data_table(material, 'label'))}"
    sections = {
        "Model details": f"Recipe {escape(run.recipe.name)} (recipe.json), run {run.key}, {run.num_folds} fold "
        f"models. It reads landmarks ({parts}; never pixels) and answers with {kind}. {_made(material)}",
        "Intended use": f"Recognising {len(names)} {'glosses' if material.sentences else 'classes'}: "
        f"{escape(', '.join(names))}.\n\nAnything else that is shown to it gets one of these answers too. "
        "Not for decisions about people's safety, health or rights without a measurement of its own on the people "
        "and cameras in question. To be completed by its owner: users, and uses to refuse.",
        "Factors": "Measured by subject and by class, below. Not recorded, and so not measured: age, gender, skin "
        "tone, disability, handedness, clothing, lighting, camera and distance.",
        "Metrics": f"{gates}\n\n{table(figures_table(material))}\n\n"
        f"{escape(edits(material) + method(metrics['intervals']))}",
        "Evaluation data": f"Out-of-fold predictions, folds {escape(run.folds_spec)}. {independent} {held}\n\n"
        f"{table(data_table(material, 'subject'))}",
        "Training data": "The same clips, each fold without its own test and stop parts. Data fingerprint "
        f"{run.data_fingerprint}, extractor {escape(run.extractor)}. Where the clips come from, and what the people "
        f"in them agreed to, is not recorded here.{labels}",
        "Quantitative analyses": f"{table(classes_table(material))}\n\nThe commonest confusions:\n\n"
        f"{table(confusions_table(material))}",
        "Ethical considerations": "Landmarks of bodies and faces are personal data where they can be tied to a person. "
        "A recogniser of signs does not replace an interpreter.",
        "Caveats and recommendations": _list([*_caveats(material), *material.findings, *_unmeasured(material)]),
    }
    top = f"# Model card: {escape(run.recipe.name)}\n\n**{escape(headline(material))}.**\n\n{_list(verdict(material))}"
    return top + "".join(f"\n\n## {title}\n\n{text.strip()}" for title, text in sections.items()) + "\n"


def _caveats(material: Material) -> list[str]:
    metrics = material.metrics
    if material.sentences:
        weak = [
            name for name, v in metrics["per_gloss"].items() if v["error_rate"] is not None and v["error_rate"] > 0.5
        ]
        return [f"More than half wrong: {', '.join(weak)}."] if weak else []
    weak = [name for name, v in metrics["per_class"].items() if v["f1"] is not None and v["f1"] < 0.5]
    return [f"F1 below 0.5: {', '.join(weak)}."] if weak else []


def _unmeasured(material: Material) -> list[str]:
    not_measured = [
        "Not measured: clips of none of the classes; other cameras and places than the data's; speed on the device "
        "that it will run on; whether people are served equally well beyond the subjects listed."
    ]
    if material.run.holdout:
        not_measured.append("The held-out subjects are measured when the run is bundled, not here.")
    return not_measured


def _made(material: Material) -> str:
    made = material.environment
    if made is None:
        return ""
    source = f", commit {made['source']['commit'][:12]}" if made["source"] else ""
    return f"Trained with sigflow {made['packages']['sigflow']}{source}, torch {made['packages']['torch']}."


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)
