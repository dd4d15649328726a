// The annotator's page: join, read what is asked, answer one item after the other.

import { Refused, call, pause, persistently, useToken } from "./api.js";
import { figure, prefetch } from "./clips.js";
import { button, element, key, seconds } from "./dom.js";
import { Outbox } from "./outbox.js";
import { Player } from "./player.js";
import { done, joining, problem, welcome } from "./screens.js";

const AHEAD = 5; // Items that are fetched before they are needed.
const NAME = /^[a-z][a-z_]*$/;
const EVENTS = 400;
const get = (id) => document.getElementById(id);

const state = {
  session: null,
  outbox: null,
  queue: [],
  items: new Map(), // Every item that was shown, by its assignment, with the newest answer.
  history: [], // Assignments that were answered here, the newest last.
  answered: new Set(),
  progress: null,
  current: null,
  refilling: null,
  feedback: new Map(),
};

// Start

start().catch(fail);

async function start() {
  const session = await persistently(currentSession, (error) => show(problem(error.message, "Trying again …")));
  const token = /^\/join\/([^/]+)$/.exec(location.pathname)?.[1];
  if (token !== undefined && !(session && (await rejoined(token, session)))) {
    show(joining((name) => join(token, name)));
    return;
  }
  if (!session) {
    show(problem("You are not signed in here.", "Open the link that you were sent."));
    return;
  }
  await enter(session);
}

async function currentSession() {
  try {
    const session = await call("GET", "/api/session");
    useToken(session.csrf);
    return session;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return null;
    throw error;
  }
}

// Who comes back by the link of an invitation goes on as before.
async function rejoined(token, session) {
  try {
    const joined = await call("POST", "/api/join", { token, name: session.annotator.name });
    useToken(joined.csrf);
    history.replaceState(null, "", "/label");
    location.reload();
    return await new Promise(() => {});
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    history.replaceState(null, "", "/label");
    return true;
  }
}

async function join(token, name) {
  const joined = await call("POST", "/api/join", { token, name });
  useToken(joined.csrf);
  history.replaceState(null, "", "/label");
  await enter(await persistently(currentSession));
}

async function enter(session) {
  if (!session) throw new Refused(401, "The browser did not keep the sign-in. Allow cookies for this page.");
  state.session = session;
  const scope = `${session.campaign.id ?? session.campaign.title}/${session.annotator.number}`;
  get("title").textContent = session.campaign.title;
  document.title = session.campaign.title;
  state.outbox = new Outbox(scope, { changed: saving, acknowledged, refused, ended });
  state.outbox.send();
  await refreshProgress();
  get("open-help").hidden = false;
  get("open-items").hidden = false;
  const read = `rlhf-read/${scope}`;
  const forms = await Promise.all(session.campaign.forms.map((kind) => form(kind)));
  if (!remembered(read)) {
    await new Promise((resolve) => show(welcome(session, forms, resolve)));
    remember(read);
  }
  await next();
}

function remembered(name) {
  try {
    return localStorage.getItem(name) !== null;
  } catch {
    return false;
  }
}

function remember(name) {
  try {
    localStorage.setItem(name, "yes");
  } catch {
    // Without storage the instructions are shown again after a reload, which does no harm.
  }
}

// The queue

async function refill() {
  if (state.refilling) return state.refilling;
  const waiting = new Set([...state.outbox.entries.values()].map((entry) => entry.assignment)).size;
  state.refilling = call("POST", "/api/next", { count: AHEAD + waiting }).then((found) => {
    const known = new Set(state.queue.map((item) => item.assignment));
    for (const item of found.items) {
      const open = !state.answered.has(item.assignment) && !state.outbox.of(item.assignment);
      if (!open || known.has(item.assignment) || item.assignment === state.current?.item.assignment) continue;
      state.items.set(item.assignment, item);
      state.queue.push(item);
    }
    for (const item of state.queue.slice(0, AHEAD)) for (const clip of item.clips) prefetch(clip).catch(() => {});
    return found;
  }).finally(() => { state.refilling = null; });
  return state.refilling;
}

async function next() {
  state.current?.leave();
  state.current = null;
  if (!state.queue.length) {
    show(element("p", { class: "centre muted" }, "One moment …"));
    const found = await persistently(refill, (error) => show(problem(error.message, "Your answers are kept. Trying again …")));
    if (!state.queue.length) return finished(found);
  }
  const item = state.queue.shift();
  if (state.queue.length < 3) refill().catch(() => {});
  await open(item);
}

async function finished(found) {
  if (state.outbox.size) {
    show(done(state, "Sending your answers …", back));
    while (state.outbox.size && !state.current) await pause(300);
    if (!state.current) await next();
    return;
  }
  const session = await persistently(currentSession);
  await refreshProgress();
  const status = session?.campaign.status ?? "closed";
  // An offer that was on its way before the last answer still has its item.
  const idle = found.waiting || found.items.length > 0;
  const waiting = idle || status === "paused";
  const text = status === "paused" ? "The campaign is paused. This page goes on when it does."
    : idle ? "That was all for now. Thank you! New questions appear here by themselves."
    : "That was all. Thank you!";
  show(done(state, text, back));
  if (!waiting) return;
  await pause(10000);
  if (!state.current) await next();
}

// One item

const forms = new Map();

function form(kind) {
  if (!NAME.test(kind)) return Promise.reject(new Error(`This page has no form ${kind}.`));
  if (!forms.has(kind)) {
    const loading = import(`./forms/${kind}.js`);
    loading.catch(() => forms.delete(kind));
    forms.set(kind, loading);
  }
  return forms.get(kind);
}

async function open(item) {
  state.current?.leave();
  state.current = null;
  let module;
  try {
    module = await form(item.form);
  } catch {
    show(problem(`This page cannot show questions of the form ${item.form}.`, "Reload the page; if that does not help, tell whoever sent you the link."));
    return;
  }
  const view = { item, module, ready: 0, events: [], begun: null, visible: 0, since: null, sent: false };
  const log = (name) => {
    if (view.begun !== null && view.events.length < EVENTS) view.events.push([Math.round(performance.now() - view.begun), name]);
  };
  const player = new Player(log);
  const names = module.names(item.clips.length);
  const heading = element("h2", { tabindex: -1, id: "question-title" }, module.title);
  const figures = item.clips.map((clip, at) => figure(clip, names[at], player, () => {
    view.ready += 1;
    if (view.ready === item.clips.length) begin();
  }));
  const begin = () => {
    view.begun = performance.now();
    view.since = document.hidden ? null : view.begun;
    view.events.push([0, "shown"]);
    body.setAttribute("data-ready", "");
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.play();
  };
  const visibility = () => {
    if (view.begun === null) return;
    log(document.hidden ? "hidden" : "visible");
    if (document.hidden) {
      if (view.since !== null) view.visible += performance.now() - view.since;
      view.since = null;
    } else view.since = performance.now();
  };
  document.addEventListener("visibilitychange", visibility);
  view.leave = () => {
    player.stop();
    document.removeEventListener("visibilitychange", visibility);
  };
  view.player = player;
  const answer = (value) => {
    if (view.sent) return;
    // What cannot be shown can be skipped.
    if (view.begun === null && item.clips.length && value !== module.skip) {
      announce("The clips are still loading.");
      return;
    }
    log("answered");
    const passed = view.visible + (view.since === null ? 0 : performance.now() - view.since);
    view.sent = true;
    give(view, value, passed / 1000);
  };
  view.answer = answer;
  const current = state.outbox.of(item.assignment)?.answer ?? item.answer ?? null;
  const host = { item, figures, player, answer, log, current, call };
  const opened = module.open(host);
  view.key = opened.key;
  const total = state.progress?.total ?? 0;
  const stage = item.stage === "training" ? "Practice" : current ? `Changing answer ${item.index + 1}` : "";
  const layout = item.clips.length === 1 ? "one" : item.clips.length === 2 ? "" : "many";
  const body = element("section", { class: "question", "aria-labelledby": "question-title", "data-assignment": item.assignment, "data-index": item.index },
    element("div", { class: "ask" }, stage && element("p", { class: "stage" }, stage), heading, module.hint && element("p", { class: "small" }, module.hint)),
    element("div", { class: `clips ${layout}` }, figures),
    player.controls,
    opened.element,
    element("div", { class: "more" },
      button(["Undo", key("U")], back, { class: "quiet", id: "undo", disabled: !lastAnswered(item.assignment), "aria-keyshortcuts": "u" }),
      item.clips.length > 0 && button(["Replay", key("R")], () => player.replay(), { class: "quiet", "aria-keyshortcuts": "r" }),
      module.skip && button(["Skip", key("S")], () => answer(module.skip), { class: "quiet", id: "skip", "aria-keyshortcuts": "s", "aria-pressed": String(Boolean(current && JSON.stringify(current) === JSON.stringify(module.skip))) }),
      current && button("Keep the answer", () => next().catch(fail), { class: "quiet", id: "keep" })));
  state.current = view;
  if (!item.clips.length) begin();
  show(body);
  heading.focus({ preventScroll: true });
  announce(total ? `${module.title} Item ${item.index + 1}.` : module.title);
}

function give(view, value, passed) {
  const { item } = view;
  const entry = state.outbox.put(item.assignment, value, passed, view.events, state.session.page_version);
  item.answer = value;
  state.items.set(item.assignment, item);
  state.answered.add(item.assignment);
  state.history = [...state.history.filter((one) => one !== item.assignment), item.assignment];
  drawProgress();
  if (item.stage === "training") practice(view, entry.key).catch(fail);
  else next().catch(fail);
}

async function practice(view, sent) {
  const waiting = element("p", { class: "feedback notice", role: "status" }, "Checking your answer …");
  document.querySelector(".question").append(waiting);
  const result = await new Promise((resolve) => {
    state.feedback.set(sent, resolve);
  });
  if (!result || state.current !== view) {
    if (state.current === view) await next();
    return;
  }
  const onward = button(["Continue", key("Enter")], () => next().catch(fail), { class: "main", id: "continue" });
  view.key = (event) => {
    if (event.key !== "Enter" && event.key !== "ArrowRight") return false;
    if (event.target !== onward) next().catch(fail);
    return event.target !== onward;
  };
  waiting.remove();
  document.querySelector(".question").append(element("div", { class: `feedback notice ${result.correct ? "good" : "bad"}`, role: "status" },
    element("p", {}, element("strong", {}, result.correct ? "Correct. " : "Not quite. "), result.text), onward));
  onward.focus();
  onward.scrollIntoView({ block: "nearest" });
}

function lastAnswered(except) {
  const here = state.history.filter((assignment) => assignment !== except);
  if (here.length) return here[here.length - 1];
  const items = (state.progress?.items ?? []).filter((one) => one.state !== "open" && one.assignment !== except);
  return items.length ? items[items.length - 1].assignment : null;
}

function back() {
  const shown = state.current?.item.assignment;
  const at = state.history.indexOf(shown);
  const earlier = at > 0 ? state.history[at - 1] : at === 0 ? null : lastAnswered(shown);
  if (earlier) goTo(earlier).catch(fail);
}

// Shows an item again; the one that was open comes after it.
async function goTo(assignment) {
  const left = state.current;
  let item = state.items.get(assignment);
  if (!item) {
    try {
      item = await call("GET", `/api/items/${encodeURIComponent(assignment)}`);
    } catch (error) {
      announce(error.message);
      return;
    }
  }
  if (left && !left.sent && !state.answered.has(left.item.assignment) && left.item.assignment !== assignment) state.queue.unshift(left.item);
  state.queue = state.queue.filter((one) => one.assignment !== assignment);
  await open(item);
}

// What the outbox reports

function acknowledged(entry, receipt) {
  state.feedback.get(entry.key)?.(receipt.feedback);
  state.feedback.delete(entry.key);
  if (receipt.late) announce("An answer came after its round was collected. It counts in the next one.");
  clearTimeout(state.refreshing);
  state.refreshing = setTimeout(() => refreshProgress().catch(() => {}), 1500);
}

function refused(entry, error) {
  state.feedback.get(entry.key)?.(null);
  state.feedback.delete(entry.key);
  state.refusal = `An answer was not taken: ${error.message}`;
  saving();
  announce(state.refusal);
}

// The session ended, or its token is old: returns whether the answer can be sent again.
async function ended() {
  const session = await persistently(currentSession);
  if (session) return true;
  state.outbox.problem = "You are signed out. Open the link that you were sent; your answers are kept in this browser.";
  return false;
}

function saving() {
  const line = get("saving");
  const count = state.outbox?.size ?? 0;
  const waits = `${count} ${count === 1 ? "answer waits" : "answers wait"} to be sent`;
  const trouble = state.outbox?.problem;
  let text = "";
  if (count && trouble) text = `${waits}. ${trouble}`;
  else if (count && !navigator.onLine) text = `${waits}. You are offline.`;
  else if (count && !state.outbox.durable) text = `${waits}. Keep this page open: the browser stores nothing.`;
  else if (state.refusal) text = state.refusal;
  line.classList.toggle("bad", Boolean(trouble && count) || Boolean(state.refusal));
  if (line.textContent !== text) line.textContent = text;
  line.hidden = text === "";
  document.body.dataset.waiting = String(count);
}

addEventListener("beforeunload", (event) => {
  const lost = [...(state.outbox?.entries.values() ?? [])].some((entry) => entry.memory);
  if (lost) event.preventDefault();
});
addEventListener("offline", saving);
addEventListener("online", saving);

// Progress

async function refreshProgress() {
  state.progress = await persistently(() => call("GET", "/api/progress"));
  for (const one of state.progress.items) if (one.state !== "open") state.answered.add(one.assignment);
  drawProgress();
}

export function counted() {
  const progress = state.progress;
  const known = new Set(progress.items.filter((one) => one.state !== "open").map((one) => one.assignment));
  const unknown = [...state.answered].filter((one) => !known.has(one) && state.items.get(one)?.stage !== "training").length;
  return { done: Math.min(progress.total, progress.total - progress.remaining + unknown), total: progress.total };
}

function drawProgress() {
  if (!state.progress) return;
  const { done: finishedItems, total } = counted();
  const left = total - finishedItems;
  const pace = state.progress.seconds_per_answer;
  const remaining = left && pace ? ` · about ${seconds(left * pace)} left` : "";
  get("progress").hidden = total === 0;
  get("progress-bar").max = Math.max(1, total);
  get("progress-bar").value = finishedItems;
  get("progress-text").textContent = `${finishedItems} of ${total}${remaining}`;
}

// Keys

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const target = event.target;
  const typing = target instanceof HTMLInputElement && target.type !== "range";
  if (typing || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return;
  if (!state.session) return;
  if (event.key === "?") return taken(event, help);
  const view = state.current;
  if (!view) {
    if (event.key.toLowerCase() === "u" && lastAnswered()) taken(event, back);
    return;
  }
  const sliding = target instanceof HTMLInputElement && target.type === "range" && event.key.startsWith("Arrow");
  const pressing = target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
  if (sliding || pressing) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (view.key?.(event)) event.preventDefault();
  else if (name === " ") taken(event, () => view.player.toggle());
  else if (name === "r") taken(event, () => view.player.replay());
  else if (name === "u") taken(event, back);
  else if (name === "s" && view.module.skip && !view.sent) taken(event, () => view.answer(view.module.skip));
  else if (name === ",") taken(event, () => view.player.nudge(-1));
  else if (name === ".") taken(event, () => view.player.nudge(1));
  else if (name === "f") taken(event, () => view.player.faster());
});

function taken(event, action) {
  event.preventDefault();
  action();
}

// Dialogs

get("open-help").addEventListener("click", help);
get("open-items").addEventListener("click", () => list().catch(fail));

function help() {
  const general = [[["S"], "Skip: you cannot tell"], [["U"], "Undo: back to the answer before"], [["R"], "Replay from the beginning"],
    [["Space"], "Play or pause"], [[",", "."], "One frame back or on"], [["F"], "Slower or faster"], [["?"], "This help"]];
  const own = state.current?.module.keys ?? [];
  const dialog = get("help");
  dialog.replaceChildren(
    element("h2", { id: "help-title" }, "Help"),
    state.session.campaign.instructions && element("p", { class: "instructions" }, state.session.campaign.instructions) || "",
    element("h3", {}, "Keys"),
    element("dl", { class: "keys" }, [...own, ...general].flatMap(([names, text]) => [
      element("dt", {}, names.map((name) => (name === "–" ? " – " : element("kbd", {}, name)))), element("dd", {}, text)])),
    element("p", { class: "small muted" }, "Each answer is saved at once. Without a connection it waits in this browser and is sent later."),
    element("div", { class: "dialog-end" }, button("Close", () => dialog.close(), { class: "main" })));
  state.current?.player.pause();
  dialog.showModal();
}

async function list() {
  const dialog = get("items");
  state.current?.player.pause();
  try {
    state.progress = await call("GET", "/api/progress");
  } catch (error) {
    announce(error.message);
  }
  const known = new Map(state.progress.items.map((one) => [one.assignment, one]));
  for (const [assignment, item] of state.items) {
    const given = state.answered.has(assignment) ? "answered" : "open";
    if (!known.has(assignment)) known.set(assignment, { assignment, index: item.index, state: given });
    else if (given === "answered" && known.get(assignment).state === "open") known.get(assignment).state = "answered";
  }
  const shown = [...known.values()].filter((one) => one.state !== "open").sort((a, b) => a.index - b.index);
  dialog.replaceChildren(
    element("h2", { id: "items-title" }, "Your answers"),
    element("p", { class: "muted" }, shown.length ? "Choose one to look at it again and to change it." : "You have not answered anything yet."),
    element("ol", { class: "item-list" }, shown.map((one) => element("li", {},
      button(String(one.index + 1), () => { dialog.close(); goTo(one.assignment).catch(fail); },
        { class: one.state, "aria-label": `Item ${one.index + 1}, ${one.state}` })))),
    element("div", { class: "dialog-end" }, button("Close", () => dialog.close(), { class: "main" })));
  dialog.showModal();
}

// The rest

function show(content) {
  get("main").replaceChildren(content);
}

function announce(text) {
  get("announce").textContent = text;
}

function fail(error) {
  console.error(error);
  show(problem(error.message, "Your answers are kept.", button("Reload the page", () => location.reload(), { class: "main" })));
}
