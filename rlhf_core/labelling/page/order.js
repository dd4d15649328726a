// Clips in order: the best first. Shared by the forms `ranking` and `best_of`, which differ in how
// many places are named.

import { button, element, key } from "./dom.js";

export function describe(answer) {
  if (answer.skip) return "Skipped";
  return answer.order.slice(0, answer.places).map((clip) => clip + 1).join(" > ");
}

export function open(host, places) {
  const count = host.figures.length;
  let order = (host.current?.order ?? []).slice(0, places);
  const badges = host.figures.map(() => element("span", { class: "place", "aria-hidden": "true" }));
  const picks = host.figures.map((figure, clip) => {
    const pick = button([element("span", {}, places === 1 ? "Choose" : "Next best", " ", key(clip + 1)), badges[clip]], () => toggle(clip),
      { class: "pick", "aria-pressed": "false" });
    figure.append(pick);
    figure.classList.add("choosable");
    figure.querySelector(".stagebox").addEventListener("click", () => toggle(clip));
    drag(figure, clip);
    return pick;
  });
  const send = button(["Send", key("Enter")], finish, { class: "main", disabled: true });
  const again = button("Start again", () => { order = []; draw(); }, { class: "quiet" });

  function toggle(clip) {
    if (places === 1) order = [clip];
    else if (order.includes(clip)) order = order.filter((other) => other !== clip);
    else if (order.length < places) order.push(clip);
    host.log(`order ${order.join(" ")}`);
    draw();
  }

  // A clip that is dropped on another takes its place; the other and those after it move down.
  function drag(figure, clip) {
    figure.draggable = places > 1;
    figure.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData("text/plain", String(clip));
      event.dataTransfer.effectAllowed = "move";
      figure.classList.add("dragged");
    });
    figure.addEventListener("dragend", () => figure.classList.remove("dragged"));
    figure.addEventListener("dragover", (event) => { event.preventDefault(); figure.classList.add("target"); });
    figure.addEventListener("dragleave", () => figure.classList.remove("target"));
    figure.addEventListener("drop", (event) => {
      event.preventDefault();
      figure.classList.remove("target");
      const moved = Number(event.dataTransfer.getData("text/plain"));
      if (!Number.isInteger(moved) || moved < 0 || moved >= count || moved === clip) return;
      const rest = order.filter((other) => other !== moved);
      const at = rest.indexOf(clip);
      if (at < 0) rest.push(moved);
      else rest.splice(at, 0, moved);
      order = rest.slice(0, places);
      draw();
    });
  }

  function draw() {
    badges.forEach((badge, clip) => {
      const place = order.indexOf(clip);
      badge.textContent = place < 0 ? "" : String(place + 1);
      host.figures[clip].classList.toggle("chosen", place >= 0);
      picks[clip].setAttribute("aria-pressed", String(place >= 0));
      picks[clip].setAttribute("aria-label", place < 0 ? `Clip ${clip + 1}` : `Clip ${clip + 1}, place ${place + 1}`);
    });
    send.disabled = order.length < places;
  }

  function finish() {
    if (order.length < places) return;
    const rest = host.figures.map((_, clip) => clip).filter((clip) => !order.includes(clip));
    host.answer({ order: [...order, ...rest], places });
  }

  draw();
  return {
    element: element("div", { class: "answers" }, places > 1 && again, send),
    key(event) {
      const clip = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
      if (clip >= 0 && clip < count) toggle(clip);
      else if (event.key === "Enter") finish();
      else if (event.key === "Backspace") { order = order.slice(0, -1); draw(); }
      else return false;
      return true;
    },
  };
}
