// Screens of the annotator's page other than a question.

import { button, drawing, element } from "./dom.js";

export function problem(text, advice, action = null) {
  return element("div", { class: "centre", role: "alert" }, element("h2", {}, text), element("p", { class: "muted" }, advice), action);
}

export function joining(join) {
  const name = element("input", { type: "text", id: "name", name: "name", autocomplete: "nickname", maxlength: 60, required: true });
  const error = element("p", { class: "error", role: "alert", hidden: true });
  const send = element("button", { class: "main", type: "submit" }, "Begin");
  const form = element("form", { class: "join", onsubmit: async (event) => {
    event.preventDefault();
    if (!name.value.trim()) return;
    send.disabled = true;
    error.hidden = true;
    try {
      await join(name.value.trim());
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
      send.disabled = false;
      name.focus();
    }
  } },
    element("label", { for: "name" }, "Your name, or what you want to be called"), name, error, send);
  setTimeout(() => name.focus(), 0);
  return element("div", { class: "welcome" }, element("div", { class: "card" },
    element("h2", {}, "You are invited to compare clips"),
    element("p", {}, "You will see short clips of a program that is learning, and say which are better. It learns from what you say."),
    element("p", { class: "muted small" }, "The owner of this page sees your name, your answers and how long they took."),
    form));
}

// Two small drawings: a pole that stands, and one that has fallen.
function sketch(angle, label) {
  const [x, y] = [80 + 44 * Math.sin(angle), 62 - 44 * Math.cos(angle)];
  return element("figure", {}, drawing("svg", { viewBox: "0 0 160 100", role: "img", "aria-label": label },
    drawing("line", { x1: 20, x2: 140, y1: 74, y2: 74, stroke: "currentColor", "stroke-opacity": 0.3, "stroke-width": 2 }),
    drawing("rect", { x: 62, y: 62, width: 36, height: 12, rx: 3, fill: "currentColor", "fill-opacity": 0.65 }),
    drawing("line", { x1: 80, y1: 62, x2: x, y2: y, stroke: "#c58a2e", "stroke-width": 7, "stroke-linecap": "round" })),
    element("figcaption", {}, label));
}

export function welcome(session, forms, onward) {
  const begin = button("Start", onward, { class: "main", id: "start" });
  setTimeout(() => begin.focus(), 0);
  const { instructions, training } = session.campaign;
  return element("div", { class: "welcome" }, element("div", { class: "card" },
    element("h2", {}, `Welcome, ${session.annotator.name}`),
    element("p", { class: "instructions" }, instructions || "Look at the clips and answer what is asked. There is no right or wrong: say what you think."),
    forms.some((form) => form.example) && [
      element("h3", {}, "An example"),
      element("div", { class: "example" }, sketch(0.12, "The pole stays up"), element("span", { class: "versus muted" }, "or"), sketch(1.15, "The pole falls")),
      element("p", {}, "If the pole should stay up, the left clip is better. If both do it about equally well, say so. If you cannot tell, skip."),
    ],
    element("p", { class: "muted small" },
      training ? `You begin with ${training} ${training === 1 ? "item" : "items"} for practice. ` : "",
      "You can stop at any time and go on later, in this browser. Press ? for the keys."),
    element("div", { class: "dialog-end" }, begin)));
}

export function done(state, text, back) {
  const given = state.progress ? state.progress.total - state.progress.remaining : state.history.length;
  return element("div", { class: "welcome done", id: "done" }, element("div", { class: "card" },
    element("p", { class: "big", "aria-hidden": "true" }, String(Math.max(given, state.answered.size))),
    element("h2", { role: "status" }, text),
    element("p", { class: "muted" }, "answers from you so far. You can still change them: choose Answers above."),
    state.answered.size > 0 && button("Back to the last answer", back, { id: "undo" })));
}
