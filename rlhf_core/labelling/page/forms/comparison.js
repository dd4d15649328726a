// Which of two clips is better?

import { button, element, key } from "../dom.js";

export const title = "Which clip is better?";
export const hint = "";
export const names = (count) => (count === 2 ? ["Left", "Right"] : Array.from({ length: count }, (_, at) => `Clip ${at + 1}`));
export const keys = [[["←", "1"], "The left clip is better"], [["→", "2"], "The right clip is better"], [["=", "3"], "Both are about equal"]];
export const skip = { choice: "skip" };
export const example = true;

const CHOICES = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", "=": "equal", 3: "equal", ArrowDown: "equal" };

export function describe({ choice }) {
  return { left: "Left", right: "Right", equal: "Equal", skip: "Skipped" }[choice] ?? String(choice);
}

export function open(host) {
  const choose = (choice) => host.answer({ choice });
  const pressed = (choice) => ({ "aria-pressed": String(host.current?.choice === choice) });
  for (const [at, choice] of ["left", "right"].entries()) {
    host.figures[at].classList.add("choosable");
    host.figures[at].classList.toggle("chosen", host.current?.choice === choice);
    host.figures[at].querySelector(".stagebox").addEventListener("click", () => choose(choice));
  }
  return {
    element: element("div", { class: "answers pair", role: "group", "aria-label": "Your answer" },
      button([key("←"), "Left is better"], () => choose("left"), { class: "left", ...pressed("left") }),
      button(["About equal", key("=")], () => choose("equal"), { class: "equal", ...pressed("equal") }),
      button(["Right is better", key("→")], () => choose("right"), { class: "right", ...pressed("right") })),
    key(event) {
      const choice = CHOICES[event.key];
      if (choice) choose(choice);
      return Boolean(choice);
    },
  };
}
