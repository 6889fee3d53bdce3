"""One self-contained HTML file: pictures inside, no scripts, nothing fetched; for a phone, a desk, and paper."""

from collections.abc import Sequence
from html import escape

from sigflow.report.html import Picture, document, image, table
from sigflow.report.material import Material, edits, headline, method, verdict
from sigflow.report.tables import (
    Table,
    classes_table,
    confusions_table,
    data_table,
    figures_table,
    folds_table,
    gates_table,
)

Mistake = tuple[str, str, bytes | None]  # what was answered instead of what, details, a PNG of the clip


def page(material: Material, pictures: dict[str, Picture], mistakes: Sequence[Mistake]) -> str:
    """The report as HTML.

    `pictures`: curves, confusion, ranking, reliability, subjects; those that are missing are left out.
    """
    run = material.run
    words = "sentences" if material.sentences else "clips"
    parts = [
        f"<h1>{escape(run.recipe.name)}</h1>",
        f'<p class="faint">Run {run.key} on data {run.data_fingerprint[:16]}, folds {escape(run.folds_spec)}'
        f"{', held out: ' + escape(', '.join(run.holdout)) if run.holdout else ''}</p>",
        _verdict(material),
        "<h2>Gates</h2>" + table(gates_table(material)) if material.metrics["gates"] else "",
        "<h2>Figures</h2>" + table(figures_table(material)),
        f'<p class="faint">Out-of-fold: each of the {words} is answered by the fold that never saw it. '
        f"{escape(edits(material) + method(material.metrics['intervals']))}</p>",
        _false_alarms(material),
        _pictures("By subject", pictures, "subjects"),
        _pictures("Confusions", pictures, "confusion"),
        _section("" if "confusion" in pictures else "Confusions", confusions_table(material), names=True),
        _mistakes(mistakes, words),
        _pictures("Ranking and calibration", pictures, "ranking", "reliability"),
        _pictures("Training", pictures, "curves"),
        '<p class="faint">A line for each fold; a point: the epoch whose weights are kept, chosen on the stop part. '
        "The training loss is what the recipe lowers (augmented, weighted, smoothed), the stop part's is plain.</p>",
        _section("Each gloss" if material.sentences else "Each class", classes_table(material)),
        _section("Data", folds_table(material)),
        table(data_table(material, "subject")),
        _environment(material),
    ]
    body = "\n".join(part for part in parts if part)
    return document(f"{run.recipe.name}: report", body)


def _verdict(material: Material) -> str:
    gates = material.metrics["gates"].values()
    state = "" if not gates else "passed" if all(gate["passed"] for gate in gates) else "missed"
    said = "".join(f"<p>{escape(line)}</p>" for line in verdict(material))
    found = "".join(f"<li>{escape(line)}</li>" for line in material.findings)
    listed = f"<p>Findings:</p><ul>{found}</ul>" if found else ""
    return f'<div class="verdict {state}"><strong>{escape(headline(material))}.</strong>{said}{listed}</div>'


def _false_alarms(material: Material) -> str:
    metrics = material.metrics
    if "false_alarms" not in metrics:
        return ""
    positive, negative = metrics["positive"], material.run.labels[0]
    hours = metrics["negative_hours"]
    rate = (
        f", {metrics['false_alarms_per_hour']:.2f} an hour over {hours:.2f} hours of such clips"
        if metrics["false_alarms_per_hour"] is not None
        else "; how many an hour is not known, as the clips' durations are not"
    )
    return (
        f"<p>{metrics['false_alarms']} clips of {escape(negative)} were taken for {escape(positive)} (false alarms)"
        f"{rate}. {metrics['missed']} clips of {escape(positive)} were missed.</p>"
    )


def _pictures(title: str, pictures: dict[str, Picture], *names: str) -> str:
    shown = "".join(image(*pictures[name]) for name in names if name in pictures)
    return f'<h2>{title}</h2><div class="chart">{shown}</div>' if shown else ""


def _mistakes(mistakes: Sequence[Mistake], words: str) -> str:
    if not mistakes:
        return f"<h2>Mistakes</h2><p>None: no {words} are wrong.</p>"
    shown = "".join(
        f"<figure><figcaption><b>{escape(title)}</b> <span class='faint'>{escape(details)}</span></figcaption>"
        f"{image(title, data) if data else ''}</figure>"
        for title, details, data in mistakes
    )
    legend = "Blue: left hand, orange: right hand, green: pose, grey: face; as the model was given them. "
    drawn = legend if any(data for _, _, data in mistakes) else ""
    surest = f"The {words} with the most errors" if words == "sentences" else "Clips that are wrong most confidently"
    advice = "Look here first for wrong labels, and for what the landmarks lack."
    few = "" if words == "sentences" else " Two of each pair of classes at most."
    return f"<h2>{surest}</h2><p class='faint'>{drawn}{advice}{few}</p>{shown}"


def _section(title: str, rows: Table, *, names: bool = False) -> str:
    if not rows[1]:
        return ""
    return (f"<h2>{title}</h2>" if title else "") + table(rows, names=names)


def _environment(material: Material) -> str:
    run, made = material.run, material.environment
    lines = [f"data {run.data_fingerprint}", f"folds {run.folds_fingerprint}", f"extractor {run.extractor}"]
    if made:
        versions = ", ".join(f"{name} {version}" for name, version in made["packages"].items() if version)
        source = made["source"]
        lines += [
            f"python {made['python']}, {versions}",
            f"{made['system']}, {made['machine']}, {made['cpus']} CPUs, GPU: {made['gpu'] or 'none'}",
        ]
        if source:
            lines.append(f"commit {source['commit']}{', with files changed since' if source['changed'] else ''}")
    recipe = escape(run.recipe.model_dump_json(indent=1))
    return (
        f"<h2>Made of</h2><pre>{escape(chr(10).join(lines))}</pre>"
        f"<details><summary>Recipe</summary><pre>{recipe}</pre></details>"
    )
