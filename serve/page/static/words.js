// What went wrong, in words: [what it is, what to do about it].

import { Problem } from "./api.js";

const CAMERA = {
  NotAllowedError: ["The camera is not allowed", "Allow it in the address bar of your browser, then try again."],
  NotFoundError: ["No camera was found", "Connect one, or choose a video file instead."],
  NotReadableError: ["The camera is in use", "Close the other program that uses it, then try again."],
  OverconstrainedError: ["This camera does not fit", "Choose another camera, or a video file."],
  InsecureContext: ["No camera without https", "Browsers give the camera to https:// and localhost only."],
  Ended: ["The camera is gone", "Connect it again, then turn it on."],
  NoRecorder: ["This browser records no video", "Use a current Chrome, Edge, Firefox or Safari, or choose a file."],
};

const STATUS = {
  0: ["The server cannot be reached", "Is it running, and is this device online? Then try again."],
  401: ["A key is needed", "Try again and give the key of this server."],
  404: ["That is not there any more", "Load the page again."],
  408: ["The upload took too long", "The network is slow: record a shorter clip, or try again."],
  413: ["The clip is too long", ""],
  415: ["This file cannot be read", "Choose a video: mp4 or webm."],
  422: ["This cannot be used", ""],
  429: ["Too many requests", "Wait a moment, then try again."],
  501: ["This server reads no videos", ""],
  503: ["The server is busy", "Try again in a moment."],
  504: ["It took too long", "Try a shorter clip, or later."],
  507: ["The server has no space left", "Its disk is full: tell whoever runs it."],
};

/** Of a Problem, of an error of the camera, of anything. */
export function inWords(error) {
  if (error instanceof Problem) {
    const [title, mend] = STATUS[error.status] ?? ["The server refuses", ""];
    if (error.status === 422 && error.message.startsWith("the video cannot be read")) {
      return ["This file cannot be read", "Choose a video: mp4 or webm."];
    }
    if (error.status >= 500 && !STATUS[error.status]) return ["The server failed", "Its log says why. Try again."];
    return [title, mend || sentence(error.message)];
  }
  return CAMERA[error.name] ?? ["Something went wrong", sentence(String(error.message || error))];
}

export function sentence(text) {
  return text && `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

export const NO_HAND = {
  title: "Nothing was seen in this clip",
  mend: "Show your hand to the camera, all of it, in good light, an arm's length away.",
};
