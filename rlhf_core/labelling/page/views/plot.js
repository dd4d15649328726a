// Curves over time, drawn by the server; the line of class `playhead` moves with the clock.

import { element } from "../dom.js";
import { content } from "../clips.js";
import { frameAt } from "../player.js";

const ELEMENTS = new Set(["svg", "g", "path", "line", "rect", "circle", "polyline", "text", "tspan", "title", "desc"]);

export async function load(clip) {
  return (await content(clip.url)).text();
}

export function view(clip, text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const drawing = document.importNode(root, true);
  for (const part of [...drawing.querySelectorAll("*")]) if (!ELEMENTS.has(part.localName)) part.remove();
  for (const part of [drawing, ...drawing.querySelectorAll("*")]) {
    for (const { name } of [...part.attributes]) if (/^on|href$|^style$/i.test(name)) part.removeAttribute(name);
  }
  const head = drawing.querySelector(".playhead");
  return {
    element: element("div", { class: "plot" }, drawing),
    show(time) {
      if (!head) return;
      const left = Number(head.dataset.left);
      const share = frameAt(clip, time) / Math.max(1, clip.frames - 1);
      const x = left + (Number(head.dataset.right) - left) * share;
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
    },
  };
}
