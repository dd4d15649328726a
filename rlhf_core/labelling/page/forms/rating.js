// How good is a clip? A number from 0 to 1, in tenths, shown as 0 to 10.

import { button, element, key } from "../dom.js";

export const title = "How good is this clip?";
export const hint = "0 is the worst that you can imagine, 10 the best.";
export const names = () => ["Clip"];
export const keys = [[["0", "–", "9"], "Choose a number"], [["←", "→"], "One less, one more"], [["Enter"], "Send the number"]];
export const skip = { skip: true };

const MOST = 10;

export function describe(answer) {
  return answer.skip ? "Skipped" : String(Math.round(answer.value * MOST * 100) / 100);
}

export function open(host) {
  let value = typeof host.current?.value === "number" ? Math.round(host.current.value * MOST) : null;
  const slider = element("input", {
    type: "range", min: 0, max: MOST, step: 1, value: value ?? MOST / 2, "aria-label": "Your rating", "data-answer": true,
    oninput: () => set(Number(slider.value)),
  });
  const numbers = Array.from({ length: MOST + 1 }, (_, number) => button(String(number), () => set(number), { "aria-pressed": "false" }));
  const send = button(["Send", key("Enter")], () => finish(), { class: "main", disabled: true });
  function set(number) {
    value = Math.min(MOST, Math.max(0, number));
    slider.value = value;
    send.disabled = false;
    numbers.forEach((one, at) => one.setAttribute("aria-pressed", String(at === value)));
  }
  function finish() {
    if (value !== null) host.answer({ value: value / MOST });
  }
  if (value !== null) set(value);
  return {
    element: element("div", { class: "rate" },
      element("div", { class: "answers scale", role: "group", "aria-label": "Rating" }, numbers), slider,
      element("div", { class: "ends", "aria-hidden": "true" }, element("span", {}, "worst"), element("span", {}, "best")),
      element("div", { class: "more" }, send)),
    key(event) {
      if (/^[0-9]$/.test(event.key)) set(Number(event.key));
      else if (event.key === "ArrowLeft") set((value ?? MOST / 2) - 1);
      else if (event.key === "ArrowRight") set((value ?? MOST / 2) + 1);
      else if (event.key === "Enter") finish();
      else return false;
      return true;
    },
  };
}
