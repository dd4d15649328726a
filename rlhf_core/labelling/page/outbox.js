// Answers that the server has not acknowledged yet. Each lies in localStorage under a key of its
// own, so that two tabs never overwrite each other, and stays there until it is acknowledged or
// refused for good. Sending one twice does no harm: its idempotency key says that it is the same.

import { Refused, Unreachable, backoff, call, pause } from "./api.js";

export class Outbox {
  constructor(scope, listeners) {
    this.prefix = `rlhf-answer/${scope}/`;
    this.listeners = listeners; // changed(), acknowledged(entry, receipt), refused(entry, error), ended()
    this.entries = new Map();
    this.durable = true;
    this.problem = "";
    this.attempt = 0;
    this.forbidden = null;
    this.sending = false;
    this.last = 0;
    this.restore();
    addEventListener("online", () => this.send());
    addEventListener("storage", (event) => {
      // Another tab of this browser sent an answer, or took one.
      if (event.key !== null && !event.key.startsWith(this.prefix)) return;
      this.restore();
      this.listeners.changed();
    });
  }

  restore() {
    try {
      const found = new Map();
      for (let at = 0; at < localStorage.length; at += 1) {
        const name = localStorage.key(at);
        if (!name.startsWith(this.prefix)) continue;
        const entry = JSON.parse(localStorage.getItem(name));
        found.set(entry.key, entry);
        this.last = Math.max(this.last, entry.sequence);
      }
      for (const entry of this.entries.values()) if (entry.memory) found.set(entry.key, entry);
      this.entries = found;
    } catch {
      this.durable = false;
    }
  }

  // The clock gives sequences that grow even after the browser's storage was emptied.
  put(assignment, answer, seconds, events, version) {
    const sequence = Math.max(Date.now(), this.last + 1);
    this.last = sequence;
    const key = identifier();
    const entry = { key, assignment, sequence, answer, seconds, events, page_version: version };
    try {
      localStorage.setItem(this.prefix + key, JSON.stringify(entry));
    } catch {
      this.durable = false;
      entry.memory = true;
    }
    this.entries.set(key, entry);
    this.listeners.changed();
    this.send();
    return entry;
  }

  remove(entry) {
    this.entries.delete(entry.key);
    try {
      localStorage.removeItem(this.prefix + entry.key);
    } catch {
      this.durable = false;
    }
  }

  get size() {
    return this.entries.size;
  }

  // The newest waiting answer to an assignment.
  of(assignment) {
    const mine = [...this.entries.values()].filter((entry) => entry.assignment === assignment);
    return mine.sort((a, b) => b.sequence - a.sequence)[0] ?? null;
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.entries.size) {
        const [entry] = [...this.entries.values()].sort((a, b) => a.sequence - b.sequence);
        if (!(await this.sendOne(entry))) return;
      }
      this.problem = "";
    } finally {
      this.sending = false;
      this.listeners.changed();
    }
  }

  // Returns whether to go on with the next one.
  async sendOne(entry) {
    const { memory, ...body } = entry;
    try {
      const receipt = await call("POST", "/api/answers", body);
      this.remove(entry);
      this.attempt = 0;
      this.problem = "";
      this.listeners.acknowledged(entry, receipt);
      this.listeners.changed();
      return true;
    } catch (error) {
      const later = error instanceof Unreachable || (error instanceof Refused && error.status === 429);
      if (later) {
        this.problem = error.message;
        this.listeners.changed();
        await pause(error.wait ? error.wait * 1000 : backoff(this.attempt));
        this.attempt += 1;
        return true;
      }
      if (!(error instanceof Refused)) throw error;
      // A second 403 in a row, with a fresh token, is about the answer and not about the token.
      if (error.status === 401 || (error.status === 403 && this.forbidden !== entry.key)) {
        this.forbidden = entry.key;
        // The session is over, or its token is old: the answer stays until it is renewed.
        this.problem = error.message;
        return await this.listeners.ended(error);
      }
      this.remove(entry);
      this.listeners.refused(entry, error);
      return true;
    }
  }
}

// randomUUID needs a secure context, which a page in a local network without TLS is not.
function identifier() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
