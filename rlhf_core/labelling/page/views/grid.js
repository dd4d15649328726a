// A board of cells that plays.

import { element } from "../dom.js";
import { content } from "../clips.js";
import { frameAt } from "../player.js";

export async function load(clip) {
  return (await content(clip.url)).json();
}

export function view(clip, { frames, legend }) {
  const table = element("table", { "aria-label": clip.alt ?? "Grid" });
  const meanings = Object.entries(legend ?? {}).map(([cell, meaning]) => element("div", {}, element("dt", {}, cell), element("dd", {}, meaning)));
  let drawn = -1;
  return {
    element: element("div", { class: "grid" }, table, meanings.length > 0 && element("dl", {}, meanings)),
    show(time) {
      const frame = frameAt(clip, time);
      if (frame === drawn) return;
      drawn = frame;
      const rows = frames[frame] ?? [];
      table.replaceChildren(...rows.map((row) => element("tr", {}, row.map((cell) => element("td", {}, cell)))));
    },
  };
}
