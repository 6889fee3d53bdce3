// Landmarks over a picture. Points are [x, y, ...] divided by its width and height; null was not seen.

const BONE = "#5ed4c0";
const HALO = "rgb(8 20 17 / 65%)";
const POINT = "#ffffff";
let edges = {}; // part -> pairs of points

export function useEdges(given) {
  edges = given ?? {};
}

/** Draws `parts` where `media` shows its picture inside the canvas (object-fit: contain). */
export function draw(canvas, media, parts) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth, clientHeight } = canvas;
  const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!media.videoWidth) return;
  const fit = Math.min(width / media.videoWidth, height / media.videoHeight);
  const [wide, high] = [media.videoWidth * fit, media.videoHeight * fit];
  const place = ([x, y]) => [(width - wide) / 2 + x * wide, (height - high) / 2 + y * high];
  for (const [part, points] of Object.entries(parts ?? {})) {
    if (Array.isArray(points) && Array.isArray(points.find(Boolean))) drawPart(context, part, points, place, scale);
  }
}

export function clear(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function drawPart(context, part, points, place, scale) {
  const at = points.map((point) => (point && point[0] !== null ? place(point) : null));
  const thin = points.length > 100; // a face: its contours, and no points
  const line = (thin ? 1.2 : 3) * scale;
  context.lineCap = "round";
  for (const [colour, width] of [[HALO, line + 2.5 * scale], [BONE, line]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const [from, to] of edges[part] ?? []) {
      if (!at[from] || !at[to]) continue;
      context.moveTo(...at[from]);
      context.lineTo(...at[to]);
    }
    context.stroke();
  }
  if (thin) return;
  context.fillStyle = POINT;
  for (const point of at.filter(Boolean)) {
    context.beginPath();
    context.arc(...point, 2.6 * scale, 0, 2 * Math.PI);
    context.fill();
  }
}
