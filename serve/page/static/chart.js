// How likely each label was over time: lines, the moments of events, and where playback is.

const HIGH = 150;
const LEFT = 34;
const SHOWN = 3;

/**
 * Draws into `root`. `points`: [{endS, probabilities: {label: share} or empty}], `events`: [{label, start_s, end_s}].
 * Gives what moves the line of now to a second.
 */
export function chart(root, { points, events = [], lengthS }) {
  const labels = most(points);
  let now = 0;
  let line = null;

  function lay() {
    const width = Math.max(200, root.clientWidth);
    const right = width - Math.min(110, width * 0.3);
    const x = (second) => LEFT + (Math.min(second, lengthS) / lengthS) * (right - LEFT);
    const y = (share) => HIGH - 22 - share * (HIGH - 34);
    const svg = part("svg", { viewBox: `0 0 ${width} ${HIGH}`, role: "img", "aria-label": inSentence(labels, points) });
    for (const event of events) {
      const wide = Math.max(2, x(event.end_s) - x(event.start_s));
      svg.append(part("rect", { class: "event", x: x(event.start_s), y: y(1), width: wide, height: y(0) - y(1), rx: 4 }));
    }
    for (const share of [0, 0.5, 1]) {
      svg.append(part("line", { class: "axis", x1: LEFT, x2: right, y1: y(share), y2: y(share) }));
      svg.append(part("text", { x: LEFT - 8, y: y(share) + 4, "text-anchor": "end" }, share * 100));
    }
    svg.append(part("text", { x: LEFT, y: HIGH - 4 }, "0 s"));
    svg.append(part("text", { x: right, y: HIGH - 4, "text-anchor": "end" }, `${lengthS.toFixed(1)} s`));
    const ends = [];
    labels.toReversed().forEach((label) => {
      const kind = label === labels[0] ? "most" : "";
      const places = points.map((point) => [x(point.endS), y(point.probabilities[label] ?? 0)]);
      svg.append(part("polyline", { class: kind, points: places.map((place) => place.join(",")).join(" ") }));
      ends.push({ label, kind, y: places.at(-1)?.[1] ?? y(0) });
    });
    spread(ends).forEach((end) => svg.append(part("text", { class: end.kind, x: right + 8, y: end.y + 4 }, end.label)));
    line = part("line", { class: "now", y1: y(1) - 6, y2: y(0) });
    svg.append(line);
    root.replaceChildren(svg);
    move(now);
    function move(second) {
      line.setAttribute("x1", x(second));
      line.setAttribute("x2", x(second));
    }
    lay.move = move;
  }

  new ResizeObserver(lay).observe(root);
  lay();
  return (second) => lay.move((now = second));
}

/** The labels that were the most likely at some time, by their highest probability. */
function most(points) {
  const best = new Map();
  for (const { probabilities } of points) {
    for (const [label, share] of Object.entries(probabilities)) best.set(label, Math.max(best.get(label) ?? 0, share));
  }
  return [...best].sort((a, b) => b[1] - a[1]).slice(0, SHOWN).map(([label]) => label);
}

/** Names at the ends of lines, not over each other. */
function spread(ends) {
  const sorted = ends.sort((a, b) => a.y - b.y);
  sorted.forEach((end, i) => (end.y = Math.max(end.y, i ? sorted[i - 1].y + 16 : 12)));
  const over = Math.max(0, (sorted.at(-1)?.y ?? 0) - (HIGH - 24));
  return sorted.map((end) => ({ ...end, y: end.y - over }));
}

function inSentence(labels, points) {
  const said = labels.map((label) => {
    const peak = points.reduce((a, b) => ((b.probabilities[label] ?? 0) > (a.probabilities[label] ?? 0) ? b : a));
    return `${label} at most ${Math.round(peak.probabilities[label] * 100)} %, at ${peak.endS.toFixed(1)} s`;
  });
  return said.join("; ");
}

function part(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
