// What happened just before a moment of a clip: better or worse? From 0 to 1 in five steps.

import { button, element, key } from "../dom.js";

export const title = "How good is what happens just before the marked moment?";
export const hint = "";
export const names = () => ["Clip"];
export const keys = [[["1", "–", "5"], "From much worse to much better"]];
export const skip = { skip: true };

const LEVELS = ["Much worse", "Worse", "Neither", "Better", "Much better"];

export function describe(answer) {
  return answer.skip ? "Skipped" : LEVELS[Math.round(answer.value * 4)] ?? String(answer.value);
}

export function open(host) {
  const step = host.item.settings?.step ?? host.item.step;
  const [clip] = host.item.clips;
  const choose = (level) => host.answer({ value: level / 4 });
  const marked = step !== undefined && clip.frames > 1;
  const to = () => host.player.scrub(Math.min(1, (step + 1) / (clip.frames - 1)));
  return {
    element: element("div", {},
      marked && element("div", { class: "more" }, button(`Show the moment (${((step + 1) / clip.rate).toFixed(1)} s)`, to, { class: "quiet" })),
      element("div", { class: "answers", role: "group", "aria-label": "Your answer" },
        LEVELS.map((name, level) => button([name, key(level + 1)], () => choose(level), {
          "aria-pressed": String(host.current?.value === level / 4),
        })))),
    key(event) {
      const level = "12345".indexOf(event.key);
      if (level < 0 || event.key === "") return false;
      choose(level);
      return true;
    },
  };
}
