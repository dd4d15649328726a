// One clock for all clips of a question: they loop in step.

import { button, drawing, element } from "./dom.js";

const SPEEDS = [1, 0.5, 0.25, 2];
const REST = 0.6; // Seconds that the end stands before the clips begin again.

export class Player {
  constructor(log) {
    this.log = log;
    this.clips = [];
    this.time = 0;
    this.speed = 1;
    this.playing = false;
    this.before = 0;
    this.tick = this.tick.bind(this);
    this.icon = drawing("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
    this.toggleButton = element("button", { type: "button", class: "play", "aria-label": "Play", onclick: () => this.toggle() }, this.icon);
    this.scrubber = element("input", {
      type: "range", min: 0, max: 1000, value: 0, step: 1, "aria-label": "Position in the clips",
      oninput: () => this.scrub(Number(this.scrubber.value) / 1000),
    });
    this.speedButton = button("1×", () => this.faster(), { class: "speed", "aria-label": "Speed: 1 times" });
    this.controls = element("div", { class: "player", role: "group", "aria-label": "Player" }, this.toggleButton, this.scrubber, this.speedButton);
    this.controls.hidden = true;
    this.drawIcon();
  }

  add(clip) {
    this.clips.push(clip);
    this.controls.hidden = this.length === 0;
    clip.show(this.time);
  }

  get length() {
    return Math.max(0, ...this.clips.map((clip) => (clip.rate ? clip.frames / clip.rate : 0)));
  }

  play() {
    if (this.playing || this.length === 0) return;
    if (this.time >= this.length) this.time = 0;
    this.playing = true;
    this.before = performance.now();
    this.log("play");
    this.drawIcon();
    requestAnimationFrame(this.tick);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.log("pause");
    this.drawIcon();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  replay() {
    this.log("replay");
    this.time = 0;
    this.show();
    this.play();
  }

  scrub(share) {
    this.pause();
    this.log("scrub");
    this.time = share * this.length;
    this.show();
  }

  // A frame back or forth.
  nudge(frames) {
    const rate = Math.max(...this.clips.map((clip) => clip.rate || 0), 1);
    this.scrub(Math.min(1, Math.max(0, (this.time + frames / rate) / (this.length || 1))));
  }

  faster() {
    this.speed = SPEEDS[(SPEEDS.indexOf(this.speed) + 1) % SPEEDS.length];
    this.log(`speed ${this.speed}`);
    this.speedButton.textContent = `${this.speed}×`;
    this.speedButton.setAttribute("aria-label", `Speed: ${this.speed} times`);
  }

  stop() {
    this.playing = false;
    this.clips = [];
  }

  tick(now) {
    if (!this.playing) return;
    this.time += (Math.min(now - this.before, 250) / 1000) * this.speed;
    this.before = now;
    if (this.time > this.length + REST) {
      this.time = 0;
      this.log("loop");
    }
    this.show();
    requestAnimationFrame(this.tick);
  }

  show() {
    for (const clip of this.clips) clip.show(Math.min(this.time, this.length));
    const share = this.length ? Math.min(1, this.time / this.length) : 0;
    this.scrubber.value = Math.round(share * 1000);
    this.scrubber.setAttribute("aria-valuetext", `${(share * this.length).toFixed(1)} of ${this.length.toFixed(1)} seconds`);
  }

  drawIcon() {
    const path = this.playing ? "M6 4h4v16H6zM14 4h4v16h-4z" : "M7 4l13 8-13 8z";
    this.icon.replaceChildren(drawing("path", { d: path }));
    this.toggleButton.setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }
}

// The frame of a clip at a time; the last one stands.
export function frameAt(clip, time) {
  if (!clip.rate) return 0;
  return Math.min(clip.frames - 1, Math.max(0, Math.floor(time * clip.rate + 1e-6)));
}
