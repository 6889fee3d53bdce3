// What the audit says of the clips; an error may be accepted, knowing it.

import { $, make } from "./dom.js";

const ORDER = ["error", "warning"];
const NAMES = { error: "Must be mended", warning: "Worth knowing" };

export function showFindings(job) {
  const findings = [...(job?.findings ?? [])].sort((a, b) => rank(a) - rank(b));
  const audited = job?.stages?.some(({ name, state }) => name === "audit" && state === "done");
  $("#findings").hidden = !findings.length && !audited;
  const key = JSON.stringify([job?.id, findings]);
  if ($("#findings").dataset.key === key) return; // what is ticked stays
  $("#findings").dataset.key = key;
  const rows = findings.map(row);
  if (!rows.length) rows.push(make("li", {}, make("b", {}, "Nothing to complain about"), "These clips can be learned from."));
  $("#findings ul").replaceChildren(...rows);
}

function row({ code, severity, message, mend }) {
  const item = make("li", { className: severity }, make("b", {}, NAMES[severity] ?? "Note"), make("span", {}, message));
  if (forPeople(mend)) item.append(make("small", {}, forPeople(mend)));
  if (severity === "error") {
    const box = make("input", { type: "checkbox", value: code });
    item.append(make("label", { className: "check" }, box, "Train all the same"));
  }
  return item;
}

/** Of several ways to mend it those that this page has: no flags of commands. */
function forPeople(mend) {
  return mend.split(/; |, or |, (?=record )/).filter((way) => !/--|\w\.\w/.test(way)).join(", or ");
}

function rank({ severity }) {
  const place = ORDER.indexOf(severity);
  return place < 0 ? ORDER.length : place;
}
