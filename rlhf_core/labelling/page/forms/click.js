// Click what is worth it: any number of clips of a list, or none.

import { button, element, key } from "../dom.js";

export const title = "Which of these would you choose?";
export const hint = "Choose as many as you like, or none.";
export const names = (count) => Array.from({ length: count }, (_, at) => `Clip ${at + 1}`);
export const keys = [[["1", "–", "9"], "Choose a clip, or take it away"], [["Enter"], "Send the choice"]];
export const skip = null;

export function describe({ clicked }) {
  return clicked.length ? `Chosen: ${clicked.map((clip) => clip + 1).join(", ")}` : "None chosen";
}

export function open(host) {
  const chosen = new Set(host.current?.clicked ?? []);
  const picks = host.figures.map((figure, clip) => {
    const pick = button([element("span", {}, "Choose ", key(clip + 1))], () => toggle(clip), { class: "pick", "aria-pressed": "false", "aria-label": `Clip ${clip + 1}` });
    figure.append(pick);
    figure.classList.add("choosable");
    figure.querySelector(".stagebox").addEventListener("click", () => toggle(clip));
    return pick;
  });
  function toggle(clip) {
    if (!chosen.delete(clip)) chosen.add(clip);
    host.log(`click ${clip}`);
    draw();
  }
  function draw() {
    host.figures.forEach((figure, clip) => {
      figure.classList.toggle("chosen", chosen.has(clip));
      picks[clip].setAttribute("aria-pressed", String(chosen.has(clip)));
    });
  }
  const finish = () => host.answer({ clicked: [...chosen].sort((a, b) => a - b) });
  draw();
  return {
    element: element("div", { class: "answers" }, button(["Send", key("Enter")], finish, { class: "main" })),
    key(event) {
      const clip = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
      if (clip >= 0 && clip < host.figures.length) toggle(clip);
      else if (event.key === "Enter") finish();
      else return false;
      return true;
    },
  };
}
