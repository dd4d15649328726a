// The server's interface: JSON in and out, one kind of error.

export class Refused extends Error {
  // The server answered, and said no.
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

export class Unreachable extends Error {
  // No answer came, or the server failed; the same call may work later.
}

let token = "";

export function useToken(csrf) {
  token = csrf;
}

export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && token) headers["X-CSRF-Token"] = token;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 20000);
  try {
    const response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: stop.signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (response.status >= 500) throw new Unreachable(sentence(text) || `The server failed (${response.status}).`);
    if (!response.ok) {
      const wait = Number(response.headers.get("Retry-After")) || 0;
      throw new Refused(response.status, sentence(text) || `The server refused (${response.status}).`, wait);
    }
    return text ? JSON.parse(text) : null;
  } catch (error) {
    if (error instanceof Refused || error instanceof Unreachable) throw error;
    throw new Unreachable("The server cannot be reached.");
  } finally {
    clearTimeout(timer);
  }
}

export function sentence(text) {
  try {
    const said = JSON.parse(text);
    return typeof said.error === "string" ? said.error : "";
  } catch {
    return "";
  }
}

// Calls until the server answers, at most half a minute apart.
export async function persistently(action, onwait = () => {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      const busy = error instanceof Refused && error.status === 429;
      if (!(error instanceof Unreachable) && !busy) throw error;
      onwait(error, attempt);
      await pause(busy && error.wait ? error.wait * 1000 : backoff(attempt));
    }
  }
}

export function backoff(attempt) {
  return Math.min(30000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2);
}

// Resolves after a time, or at once when the network comes back.
export function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
  });
}
