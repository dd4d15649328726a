// Plain elements without attributes. The server sent nothing else; this page takes nothing else.

import { element } from "../dom.js";
import { content } from "../clips.js";

const ELEMENTS = new Set(
  ("B BLOCKQUOTE BR CAPTION CODE DD DIV DL DT EM H1 H2 H3 H4 H5 H6 HR I KBD LI MARK OL P PRE S SMALL SPAN STRONG " +
   "SUB SUP TABLE TBODY TD TFOOT TH THEAD TR U UL").split(" "),
);

export async function load(clip) {
  return (await content(clip.url)).json();
}

export function view(clip, { html }) {
  const body = new DOMParser().parseFromString(html, "text/html").body;
  return { element: element("div", { class: "html", tabindex: 0 }, copies(body)), show() {} };
}

function copies(parent) {
  return [...parent.childNodes].map((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    if (!ELEMENTS.has(node.nodeName)) return null;
    return element(node.nodeName.toLowerCase(), {}, copies(node));
  });
}
