// What has been recorded, and what is missing. `clips`: {subject: {label: count}}.

/** Labels and their clips of all people, most first seen first: Map label -> count. */
export function byLabel(clips, labels) {
  const sums = new Map(labels.map((label) => [label, 0]));
  for (const of of Object.values(clips)) {
    for (const [label, count] of Object.entries(of)) sums.set(label, (sums.get(label) ?? 0) + count);
  }
  return sums;
}

/**
 * The label that this person records next: of those below the target the one that the person has fewest of, then the
 * one that all have fewest of. Null: all have reached the target.
 */
export function nextLabel(clips, labels, subject, target) {
  const sums = byLabel(clips, labels);
  const own = (label) => clips[subject]?.[label] ?? 0;
  const missing = labels.filter((label) => sums.get(label) < target);
  return missing.sort((a, b) => own(a) - own(b) || sums.get(a) - sums.get(b))[0] ?? null;
}

/** In words: what is missing, and of whom. */
export function advice(clips, labels, target) {
  const people = Object.keys(clips).filter((subject) => Object.values(clips[subject]).some(Boolean));
  if (!people.length || !labels.length) return "";
  const sums = byLabel(clips, labels);
  const missing = [...sums.values()].reduce((sum, count) => sum + Math.max(0, target - count), 0);
  const gaps = people.flatMap((subject) => labels.map((label) => [subject, label, clips[subject][label] ?? 0]));
  const [who, what, least] = gaps.sort((a, b) => a[2] - b[2])[0];
  const most = Math.max(...gaps.map(([, , count]) => count));
  const parts = [missing ? `${missing} ${missing === 1 ? "clip" : "clips"} to go.` : "The target is reached."];
  if (people.length > 1 && most > least) parts.push(least ? `${who} has the fewest of “${what}”: ${least}.` : `${who} has not recorded “${what}” yet.`);
  if (people.length === 1) parts.push("One person so far: it could be tested on that same person only.");
  else if (people.length < 5) parts.push(`${people.length} people so far; five make a fair test.`);
  return parts.join(" ");
}
