// Show how it is done: play an episode with the keyboard or by touch.

import { button, element, key } from "../dom.js";

export const title = "Show how it is done";
export const hint = "Play one episode as well as you can.";
export const names = () => [];
export const keys = [[["←", "→"], "Act; the buttons below the picture show all keys"], [["Enter"], "Begin, or hand in the episode"]];
export const skip = null;

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓", ArrowUp: "↑" };

export function describe() {
  return "An episode";
}

export function open(host) {
  const picture = element("img", { class: "film", alt: "The environment as it is now" });
  const box = element("div", { class: "stagebox" }, element("p", { class: "lost muted" }, "Begin when you are ready."));
  const said = element("p", { class: "muted", "aria-live": "polite" });
  const pads = element("div", { class: "answers" });
  const begin = button(["Begin", key("Enter")], () => start(), { class: "main" });
  const hand = button(["Hand in", key("Enter")], () => finish(), { class: "main", hidden: true });
  const again = button("Start again", () => start(), { class: "quiet", hidden: true });
  const root = element("div", { class: "rate" }, element("div", { class: "clips one" }, element("div", { class: "clip" }, box)), said, pads,
    element("div", { class: "more" }, begin, hand, again));
  let game = null;
  let held = null;

  async function start() {
    game = null;
    begin.hidden = again.hidden = hand.hidden = true;
    said.textContent = "One moment …";
    try {
      const begun = await host.call("POST", "/api/play/start", { assignment: host.item.assignment });
      game = { ...begun, steps: 0, done: false, busy: false };
    } catch (error) {
      said.textContent = error.message;
      begin.hidden = false;
      return;
    }
    box.replaceChildren(picture);
    await draw(game.frame_url);
    pads.replaceChildren(...game.actions.map((action, at) => pad(action, at)));
    said.textContent = game.mode === "turn" ? "Choose an action." : "Hold a key to act.";
    host.log("begin");
    if (game.mode === "rate") run(game);
  }

  function pad(action, at) {
    const made = button([action.label, key(SIGNS[action.key] ?? action.key)], () => act(at), { "aria-label": action.label });
    made.addEventListener("pointerdown", () => { held = at; });
    for (const name of ["pointerup", "pointerleave", "pointercancel"]) made.addEventListener(name, () => { held = null; });
    return made;
  }

  function act(at) {
    if (game?.mode === "turn") step(game, at);
  }

  async function run(mine) {
    while (game === mine && !mine.done && root.isConnected) {
      const before = performance.now();
      await step(mine, held ?? mine.idle ?? 0);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 / mine.rate - (performance.now() - before))));
    }
  }

  async function step(mine, action) {
    if (mine.busy || mine.done) return;
    mine.busy = true;
    try {
      const after = await host.call("POST", "/api/play/step", { session: mine.session, action });
      Object.assign(mine, after);
      await draw(after.frame_url);
      // A screen reader that is told fifteen steps a second tells nothing else.
      said.setAttribute("aria-live", mine.mode === "turn" || after.done ? "polite" : "off");
      said.textContent = `Step ${after.steps}`;
      hand.hidden = again.hidden = !after.done;
      if (after.done) {
        said.textContent = `The episode is over after ${after.steps} steps. Hand it in, or start again.`;
        hand.focus();
      }
    } catch (error) {
      mine.done = true;
      said.textContent = error.message;
      again.hidden = false;
    } finally {
      mine.busy = false;
    }
  }

  async function draw(url) {
    picture.src = url;
    await picture.decode();
  }

  async function finish() {
    if (!game?.done || hand.disabled) return;
    hand.disabled = true;
    try {
      await host.call("POST", "/api/play/end", { session: game.session });
      host.answer({ episode: game.session });
    } catch (error) {
      said.textContent = error.message;
      hand.disabled = false;
    }
  }

  const release = (event) => {
    if (!root.isConnected) removeEventListener("keyup", release);
    else if (game?.actions[held]?.key === event.key) held = null;
  };
  addEventListener("keyup", release);

  return {
    element: root,
    key(event) {
      const at = game && !game.done ? game.actions.findIndex((action) => action.key === event.key) : -1;
      if (at >= 0) {
        held = at;
        act(at);
      } else if (event.key === "Enter") {
        if (!game) start();
        else finish();
      } else return false;
      return true;
    },
  };
}
