// A transcript.

import { element } from "../dom.js";
import { content } from "../clips.js";

export async function load(clip) {
  return (await content(clip.url)).json();
}

export function view(clip, { text }) {
  return { element: element("pre", { class: "text", tabindex: 0 }, text), show() {} };
}
