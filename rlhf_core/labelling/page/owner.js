// The owner's page: what campaigns do, who answers and how well, invitations, downloads.

import { Refused, call, useToken } from "./api.js";
import { figure } from "./clips.js";
import { button, drawing, element, seconds } from "./dom.js";
import { Player } from "./player.js";

const EVERY = 5000;
const get = (id) => document.getElementById(id);
const state = { campaigns: [], chosen: null, detail: null, drawn: "", cards: new Map() };

start().catch(show);

async function start() {
  const secret = decodeURIComponent(location.hash.slice(1));
  // The secret stays neither in the address nor in the history.
  if (secret) history.replaceState(null, "", location.pathname);
  get("logout").addEventListener("click", async () => {
    await call("POST", "/api/owner/logout");
    location.reload();
  });
  if (secret && (await login(secret).then(() => true, () => false))) return enter();
  try {
    const session = await call("GET", "/api/owner/session");
    if (!session?.csrf) throw new Refused(401, "");
    useToken(session.csrf);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return signIn(secret ? "That secret was not accepted." : "");
  }
  return enter();
}

async function login(secret) {
  useToken((await call("POST", "/api/owner/login", { secret })).csrf);
}

function signIn(text) {
  const secret = element("input", { type: "password", id: "secret", autocomplete: "current-password", required: true });
  const error = element("p", { class: "error", role: "alert", hidden: !text }, text);
  get("main").replaceChildren(element("div", { class: "login" }, element("div", { class: "card" },
    element("h2", {}, "Sign in"),
    element("p", { class: "muted" }, "The secret was shown where the server was started."),
    element("form", { class: "fields", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await login(secret.value);
        await enter();
      } catch (problem) {
        error.textContent = problem.message;
        error.hidden = false;
        secret.select();
      }
    } }, element("label", { for: "secret" }, "Secret"), secret, error, element("button", { class: "main", type: "submit" }, "Sign in")))));
  secret.focus();
}

async function enter() {
  get("logout").hidden = false;
  await refresh();
  setInterval(() => { if (!document.hidden) refresh().catch(stale); }, EVERY);
}

function stale(error) {
  get("fresh").textContent = error instanceof Refused && error.status === 401 ? "You are signed out. Reload the page." : `Not up to date: ${error.message}`;
}

async function refresh() {
  state.campaigns = await call("GET", "/api/owner/campaigns");
  if (!state.campaigns.some((one) => one.id === state.chosen)) state.chosen = state.campaigns[0]?.id ?? null;
  state.detail = state.chosen === null ? null : await call("GET", address());
  get("fresh").textContent = "";
  const now = JSON.stringify([state.campaigns, state.detail]);
  // Nothing is drawn again while nothing changed, nor under a pointer or a cursor.
  if (now === state.drawn) return;
  state.drawn = now;
  draw();
}

function address(rest = "") {
  return `/api/owner/campaigns/${encodeURIComponent(state.chosen)}${rest}`;
}

async function change(method, rest, body, text) {
  try {
    const result = await call(method, address(rest), body);
    get("announce").textContent = text;
    await refresh();
    return result;
  } catch (error) {
    ask("That did not work", [element("p", { role: "alert" }, error.message)]);
    return null;
  }
}

function draw() {
  const focused = document.activeElement?.id;
  if (!state.detail) {
    get("main").replaceChildren(element("div", { class: "centre" }, element("h2", {}, "No campaigns yet"),
      element("p", { class: "muted" }, "One begins when a run asks people: set its annotator to human.")));
    return;
  }
  const one = state.detail;
  get("main").replaceChildren(element("div", { class: "owner" },
    state.campaigns.length > 1 && chooser(), head(one), tiles(one),
    element("div", { class: "two" }, batches(one), hours(one)),
    annotators(one), disagreements(one), element("div", { class: "two" }, invites(one), downloads())));
  if (focused) get(focused)?.focus();
}

function chooser() {
  return element("nav", { class: "chooser", "aria-label": "Campaigns" }, state.campaigns.map((one) =>
    button(`${one.title} (${share(one.complete, one.questions)})`, () => { state.chosen = one.id; state.cards.clear(); refresh().catch(stale); },
      { "aria-pressed": String(one.id === state.chosen), id: `campaign-${one.id}` })));
}

function head(one) {
  return element("div", { class: "head" }, element("h2", {}, one.title), element("span", { class: `status ${one.status}` }, one.status),
    element("div", { class: "actions" },
      one.status === "open" && button("Pause", () => change("POST", "/pause", {}, "Paused"), { id: "pause" }),
      one.status !== "open" && button("Open", () => change("POST", "/open", {}, "Open"), { id: "open" }),
      one.status !== "closed" && button("More time", extend, { id: "extend" }),
      one.status !== "closed" && button("Close", close, { class: "danger", id: "close" })));
}

function tile(name, value, more) {
  return element("div", { class: "tile" }, element("dt", {}, name), element("dd", {}, value, more && element("small", {}, more)));
}

function tiles(one) {
  const { pairs = 0, share: agreed, kappa } = one.agreement ?? {};
  const left = one.estimated_end ? moment(one.estimated_end) - Date.now() : null;
  return element("dl", { class: "tiles" },
    tile("Questions complete", `${one.complete} / ${one.questions}`, share(one.complete, one.questions)),
    tile("Answers", String(one.answers), `by ${one.annotators.length} ${one.annotators.length === 1 ? "person" : "people"}`),
    tile("Estimated end", left === null ? "–" : left < 0 ? "now" : `in ${seconds(left / 1000)}`, left === null ? "no pace yet" : when(one.estimated_end)),
    tile("Agreement", percent(agreed), pairs ? `${pairs} pairs · κ ${number(kappa, 2)}` : "no question answered twice"),
    tile("Cost", number(one.cost, 2)));
}

function batches(one) {
  return element("section", { class: "card" }, element("h3", {}, "Rounds"),
    one.batches.length ? element("ol", { class: "batches" }, one.batches.map((batch) => element("li", {},
      element("div", {}, element("span", {}, `Round ${batch.round + 1}${batch.part ? ", asked again" : ""}`),
        element("span", { class: "muted" }, `${batch.complete} of ${batch.questions}${batch.deadline ? `, until ${when(batch.deadline)}` : ""}`)),
      element("progress", { max: Math.max(1, batch.questions), value: batch.complete, "aria-label": `Round ${batch.round + 1}` }))))
      : element("p", { class: "muted" }, "No questions yet."));
}

function hours(one) {
  const counts = (one.answers_by_hour ?? []).slice(-48).map((entry) => entry.answers);
  // A young campaign has its bars at the right, where now is.
  while (counts.length && counts.length < 12) counts.unshift(0);
  const most = Math.max(1, ...counts);
  const wide = 320 / Math.max(1, counts.length);
  const bars = counts.map((count, at) => drawing("rect", { x: at * wide + 1, y: 100 - 84 * count / most, width: Math.max(1, wide - 2), height: 84 * count / most, rx: 2 },
    drawing("title", {}, `${count} answers`)));
  return element("section", { class: "card" }, element("h3", {}, "Answers by hour"),
    counts.length ? drawing("svg", { class: "chart", viewBox: "0 0 320 118", role: "img", "aria-label": `Answers in the last ${counts.length} hours: ${counts.join(", ")}` },
      ...bars, text(0, 114, `${counts.length} h ago`, "start"), text(Math.min(320, counts.length * wide), 114, "now", "end"), text(0, 11, `most: ${most}`, "start"))
      : element("p", { class: "muted" }, "None yet."));
}

function text(x, y, words, anchor) {
  return drawing("text", { x, y, "text-anchor": anchor }, words);
}

function table(names, rows, numbers = false) {
  return element("table", { class: "wide" },
    element("thead", {}, element("tr", {}, names.map((name, at) => element("th", { scope: "col", class: numbers && at && name ? "number" : null }, name)))),
    element("tbody", {}, rows));
}

function cell(name, value, attributes = {}) {
  return element("td", { "data-name": name, ...attributes }, value);
}

function annotators(one) {
  const names = ["Annotator", "Answers", "Skips", "Test items right", "Seconds each", "Chose left", "Agrees", "Last answer", ""];
  const named = (person) => one.annotators.filter((other) => other.name === person.name).length > 1;
  const rows = one.annotators.map((person) => {
    const gold = person.gold ? person.gold_correct / person.gold : null;
    const figures = [
      [String(person.answers)], [String(person.skips)],
      [person.gold ? `${person.gold_correct} of ${person.gold}` : "–", gold !== null && person.gold >= 5 && gold < 0.6],
      [number(person.median_seconds, 1), person.median_seconds !== null && person.answers >= 5 && person.median_seconds < 1],
      [percent(person.left_share), person.left_share !== null && person.answers >= 20 && Math.abs(person.left_share - 0.5) > 0.2],
      [percent(person.agreement)], [ago(person.last_answer)],
    ];
    const label = person.active ? "Stop counting" : "Count again";
    return element("tr", { class: person.active ? null : "off" }, cell("", [person.name, named(person) && element("small", { class: "muted" }, ` no. ${person.number + 1}`)]),
      figures.map(([value, warn], at) => cell(names[at + 1], value, { class: warn ? "number warn" : "number" })),
      cell("", button(label, () => toggle(person), { id: `active-${person.number}`, "aria-label": `${label}: ${person.name}` })));
  });
  return element("section", { class: "card" }, element("h3", {}, "Annotators"),
    rows.length ? table(names, rows, true) : element("p", { class: "muted" }, "Nobody has joined yet. Send somebody an invitation."));
}

function toggle(person) {
  const path = `/annotators/${person.number}/active`;
  if (!person.active) return change("POST", path, { active: true }, "Answers count again");
  return ask(`Stop counting the answers of ${person.name}?`, [element("p", {}, "They stay in the store, but do not count, and their questions are asked again.")],
    "Stop counting", () => change("POST", path, { active: false }, "Answers no longer count"));
}

// Cards of disagreements stay while the numbers around them are drawn again, so that clips play on.
function disagreements(one) {
  const people = new Map(one.annotators.map((person) => [person.number, person.name]));
  const cards = one.disagreements.slice(0, 12).map((entry) => {
    const known = JSON.stringify(entry.answers);
    const old = state.cards.get(entry.question);
    if (old?.known === known) return old.card;
    const card = disagreement(entry, people);
    state.cards.set(entry.question, { known, card });
    return card;
  });
  return element("section", { class: "card" }, element("h3", {}, "Disagreements"),
    cards.length ? element("div", { class: "pairs" }, cards) : element("p", { class: "muted" }, "None so far."));
}

function disagreement(entry, people) {
  const player = new Player(() => {});
  const answers = element("ul", {});
  const card = element("div", { class: "pair-card" }, answers);
  import(`./forms/${/^[a-z_]+$/.test(entry.form) ? entry.form : "comparison"}.js`).then((form) => {
    const names = form.names(entry.clips.length);
    const box = element("div", { class: "clips" }, entry.clips.map((clip, at) => figure(clip, names[at], player, () => {})));
    answers.replaceChildren(...entry.answers.map(({ annotator, answer }) => element("li", {}, `${people.get(annotator) ?? annotator}: ${form.describe(answer)}`)));
    card.prepend(box, player.controls);
  }).catch(stale);
  return card;
}

function invites(one) {
  const rows = one.invites.map((invite) => {
    const over = invite.revoked || (invite.uses !== null && invite.used >= invite.uses) || (invite.expires !== null && moment(invite.expires) < Date.now());
    const uses = invite.uses === null ? `${invite.used}, shared` : `${invite.used} of ${invite.uses}`;
    return element("tr", { class: over ? "off" : null }, cell("", invite.name || "Unnamed"), cell("Used", uses),
      cell("Ends", invite.revoked ? "revoked" : invite.expires === null ? "never" : when(invite.expires)),
      cell("", over ? "" : button("Revoke", () => ask(`Revoke the invitation ${invite.name}?`, [element("p", {}, "Nobody else can join by it. Who joined stays.")],
        "Revoke", () => change("DELETE", `/invites/${encodeURIComponent(invite.id)}`, undefined, "Revoked")), { class: "danger", id: `revoke-${invite.id}`, "aria-label": `Revoke ${invite.name}` })));
  });
  return element("section", { class: "card" }, element("h3", {}, "Invitations"),
    rows.length ? table(["For", "Used", "Ends", ""], rows) : element("p", { class: "muted" }, "None yet."),
    element("div", { class: "dialog-end" }, button("New invitation", invite, { class: "main", id: "invite" })));
}

function invite() {
  const name = element("input", { type: "text", id: "invite-name", maxlength: 60, required: true });
  const uses = element("select", { id: "invite-uses" }, element("option", { value: "1" }, "One person"), element("option", { value: "" }, "Everybody who has the link"));
  const hours = element("select", { id: "invite-hours" },
    [[24, "one day"], [168, "one week"], [720, "30 days"]].map(([value, words]) => element("option", { value, selected: value === 168 }, words)));
  ask("New invitation", [element("div", { class: "fields" },
    element("label", { for: "invite-name" }, "For whom", name), element("label", { for: "invite-uses" }, "Who may join", uses), element("label", { for: "invite-hours" }, "Valid for", hours))],
    "Make the link", async () => {
      const made = await change("POST", "/invites", { name: name.value.trim() || "Invitation", uses: uses.value ? Number(uses.value) : null, hours: Number(hours.value) }, "Invitation made");
      if (made) link(made.url);
    });
  name.focus();
}

function link(url) {
  const field = element("input", { type: "text", readonly: true, value: url, "aria-label": "Link", id: "invite-link", onfocus: (event) => event.target.select() });
  const copy = button("Copy", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(url);
      copy.textContent = "Copied";
    } catch {
      // Without permission the link is selected, for the keyboard.
      get("announce").textContent = "The link is selected; copy it with the keyboard.";
    }
  }, { class: "main", id: "copy" });
  ask("Send this link", [element("p", {}, "It is shown only now."), element("div", { class: "link-row" }, field, copy)]);
}

function downloads() {
  const files = [["labels.parquet", "Labels (Parquet)"], ["labels.jsonl", "Labels (JSON lines)"], ["audit.jsonl", "Audit (JSON lines)"]];
  return element("section", { class: "card" }, element("h3", {}, "Downloads"),
    element("p", { class: "muted" }, "Every answer with its question, its annotator and its time."),
    element("div", { class: "downloads" }, files.map(([file, words]) => element("a", { class: "button", href: address(`/${file}`), download: true }, words))));
}

function extend() {
  const hours = element("input", { type: "number", min: 1, max: 8760, value: 24, id: "hours", required: true });
  ask("More time", [element("label", { for: "hours" }, "Hours to add to the deadline", hours)], "Add",
    () => change("POST", "/extend", { hours: Number(hours.value) }, "Deadline moved"));
  hours.select();
}

function close() {
  ask("Close the campaign?", [element("p", {}, "No more questions are given out, and the run goes on with the answers that are there. You can open it again.")],
    "Close the campaign", () => change("POST", "/close", {}, "Closed"));
}

function ask(title, content, action = null, act = null) {
  const dialog = get("dialog");
  dialog.replaceChildren(element("h2", { id: "dialog-title" }, title),
    element("form", { onsubmit: async (event) => {
      event.preventDefault();
      dialog.close();
      if (act) await act();
    } }, content, element("div", { class: "dialog-end" }, button(act ? "Cancel" : "Close", () => dialog.close()),
      action && element("button", { type: "submit", class: "main", id: "confirm" }, action))));
  if (!dialog.open) dialog.showModal();
}

function show(error) {
  console.error(error);
  get("main").replaceChildren(element("div", { class: "centre", role: "alert" }, element("h2", {}, error.message),
    button("Reload the page", () => location.reload(), { class: "main" })));
}

// Numbers

// Times come as seconds since 1970 or as ISO texts.
function moment(value) {
  return typeof value === "number" ? value * 1000 : Date.parse(value);
}

function when(value) {
  const time = new Date(moment(value));
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

function ago(value) {
  return value === null || value === undefined ? "–" : `${seconds(Math.max(0, (Date.now() - moment(value)) / 1000))} ago`;
}

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`;
}

function share(part, whole) {
  return whole ? percent(part / whole) : "0 %";
}
