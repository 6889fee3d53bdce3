// Elements: found, made, and what screen readers are told.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element with properties; `class`, `aria-...`, `data-...` become attributes. Texts are texts, never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Said by screen readers, when they have said what they are saying; `now`: at once. */
export function tell(text, { now = false } = {}) {
  $(now ? "#told-now" : "#told").textContent = text;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

export const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export const bytes = (count) =>
  count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`;

/** Resolves later; rejects with an AbortError as soon as the signal says so. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", stop), resolve()), ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
