// Loads clips ahead of time and gives each to the view that shows it: views/NAME.js exports
// `load(clip, fetched)`, which returns what was loaded, and `view(clip, loaded)`, which returns
// `{element, show(time)}`. A new kind of clip is a new file.

import { element, button } from "./dom.js";
import { Refused, backoff, pause, sentence } from "./api.js";

const NAME = /^[a-z][a-z_]*$/;
const loaded = new Map();
const MOST = 48;

export function prefetch(clip) {
  if (!loaded.has(clip.url)) {
    const promise = load(clip);
    promise.catch(() => loaded.delete(clip.url));
    loaded.set(clip.url, promise);
    while (loaded.size > MOST) loaded.delete(loaded.keys().next().value);
  }
  return loaded.get(clip.url);
}

async function load(clip) {
  if (!NAME.test(clip.view)) throw new Error(`This page cannot show a clip of kind ${clip.view}.`);
  const module = await import(`./views/${clip.view}.js`);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return { module, content: await module.load(clip) };
    } catch (error) {
      if (attempt >= 6 || (error instanceof Refused && error.status !== 429)) throw error;
      await pause(backoff(attempt));
    }
  }
}

// A figure with the clip, which joins the player once it is loaded.
export function figure(clip, name, player, onready) {
  const box = element("div", { class: "stagebox waiting", "aria-busy": "true" });
  const caption = element("figcaption", {}, element("span", {}, name));
  const made = element("figure", { class: "clip", role: "group", "aria-label": `${name}. ${clip.alt ?? ""}` }, box, caption);
  const start = () => {
    prefetch(clip).then(({ module, content }) => {
      const shown = module.view(clip, content);
      box.classList.remove("waiting");
      box.removeAttribute("aria-busy");
      box.replaceChildren(shown.element);
      player.add({ rate: clip.rate, frames: clip.frames, show: shown.show });
      onready();
    }, (error) => {
      box.classList.remove("waiting");
      box.removeAttribute("aria-busy");
      box.replaceChildren(element("div", { class: "lost" }, element("p", {}, `The clip could not be loaded. ${error.message}`),
        button("Try again", () => { box.classList.add("waiting"); box.replaceChildren(); start(); })));
    });
  };
  start();
  return made;
}

export async function content(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (response.ok) return response;
  const said = sentence(await response.text()) || `The server refused (${response.status}).`;
  throw response.status >= 500 ? new Error(said) : new Refused(response.status, said, 0);
}
