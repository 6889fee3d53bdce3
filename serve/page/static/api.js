// Everything that is asked of the server. Errors are Problems: a status (0: not reached), and what it said.

import { pause } from "./dom.js";
import { askForKey, key } from "./key.js";

export class Problem extends Error {
  constructor(status, detail = "", waitS = 0) {
    super(detail);
    this.status = status;
    this.waitS = waitS;
  }
}

const address = (path) => new URL(path, document.baseURI);
const secret = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/** A request; JSON is parsed, `blob: true` gives the bytes. A 401 asks for a key and tries again. */
export async function ask(path, { method = "GET", json, blob = false, signal } = {}) {
  const used = key();
  const headers = { ...secret(), ...(json ? { "Content-Type": "application/json" } : {}) };
  let response;
  try {
    response = await fetch(address(path), { method, headers, body: json && JSON.stringify(json), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(0);
  }
  if (response.status === 401 && (await mayTryAgain(used))) return ask(path, { method, json, blob, signal });
  if (!response.ok) throw problem(response.status, await response.text(), response.headers.get("Retry-After"));
  if (blob) return response.blob();
  return response.status === 204 ? null : response.json();
}

/**
 * Sends a video and tells how much of it has gone.
 * Gives {answer, sentMs, timing}: the time until all of it was sent, and what the server says of its own, in ms.
 */
export async function sendVideo(path, video, { onSent = () => {}, signal } = {}) {
  const used = key();
  const { status, text, again, timing, sentMs } = await post(path, video, onSent, signal);
  if (status === 401 && (await mayTryAgain(used))) return sendVideo(path, video, { onSent, signal });
  if (status < 200 || status > 299) throw problem(status, text, again);
  return { answer: JSON.parse(text), sentMs, timing: serverTiming(timing) };
}

function post(path, video, onSent, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    const began = performance.now();
    let sentMs = 0;
    const stop = () => (request.abort(), reject(signal.reason));
    signal?.addEventListener("abort", stop, { once: true });
    request.open("POST", address(path));
    request.setRequestHeader("Content-Type", video.type.split(";")[0] || "video/mp4");
    for (const [name, value] of Object.entries(secret())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    request.upload.onload = () => ((sentMs = performance.now() - began), onSent(1));
    request.onerror = () => reject(new Problem(0));
    request.onload = () => resolve({
      status: request.status, text: request.responseText, sentMs,
      again: request.getResponseHeader("Retry-After"), timing: request.getResponseHeader("Server-Timing"),
    });
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    request.send(video);
  });
}

/** Tries again as often as that a busy server, or a network that comes and goes, asks for. */
export async function patiently(work, { tries = 8, signal, onWait = () => {} } = {}) {
  for (let number = 1; ; number++) {
    try {
      return await work();
    } catch (error) {
      const passing = error instanceof Problem && [0, 408, 429, 502, 503, 504].includes(error.status);
      if (!passing || number >= tries) throw error;
      const waitS = error.waitS || Math.min(30, 2 ** (number - 1));
      onWait(error, waitS);
      await pause(waitS * 1000, signal);
    }
  }
}

/** A WebSocket; browsers cannot set its headers, so the key goes as a subprotocol. */
export function socket(path) {
  const place = address(path);
  place.protocol = place.protocol.replace("http", "ws");
  const opened = new WebSocket(place, ["sigflow", ...(key() ? [`key.${key()}`] : [])]);
  opened.binaryType = "arraybuffer";
  return opened;
}

async function mayTryAgain(used) {
  return key() !== used ? Boolean(key()) : askForKey(); // somebody was asked meanwhile
}

function problem(status, text, again) {
  let detail = "";
  try {
    detail = JSON.parse(text).detail ?? "";
  } catch {
    // a proxy's own page: the status says enough
  }
  return new Problem(status, detail, Number(again) || 0);
}

function serverTiming(header) {
  const parts = (header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g);
  return Object.fromEntries([...parts].map(([, name, ms]) => [name, Number(ms)]));
}
