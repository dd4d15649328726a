// A list of items, as a recommender shows them.

import { element } from "../dom.js";
import { content } from "../clips.js";

export async function load(clip) {
  return (await content(clip.url)).json();
}

export function view(clip, { items }) {
  const rows = items.map((item) => element("li", { class: item.chosen ? "chosen-item" : null },
    element("strong", {}, item.title),
    item.chosen && element("span", { class: "hidden-text" }, " (chosen)"),
    item.detail && element("span", { class: "detail" }, item.detail)));
  return { element: element("ol", { class: "slate" }, rows), show() {} };
}
