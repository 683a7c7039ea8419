// Requests to the server. The token lives in this tab only, and is never part of an address.

const KEY = "metaser token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** An answer that is no success: its message is a sentence for people. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** JSON of an answer, or null if it has none. */
export async function request(method, path, body) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  let answer;
  try {
    answer = await fetch(path, { method, body, headers });
  } catch {
    throw new ApiError(0, "unreachable", "The server does not answer. Is it still running?");
  }
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => null);
  if (!answer.ok) {
    const error = content?.error;
    throw new ApiError(
      answer.status,
      error?.code ?? "failed",
      sentence(error?.message ?? `the server said ${answer.status}`),
    );
  }
  return content;
}

/** Why a stream cannot be opened now, or null: browsers hide the reason from WebSockets. */
export async function whyNoStream() {
  try {
    await request("GET", "/v1/stream");
  } catch (error) {
    return error.code === "upgrade" ? null : error.message;
  }
  return null;
}

/** The address of the stream on this server. */
export function streamAddress() {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`;
}

/** A form of clips, each in the field of its label. */
export function formOf(clips) {
  const form = new FormData();
  for (const { label, blob, name } of clips) form.append(label, blob, name);
  return form;
}

/** A message of the server as a sentence, without commands for a terminal. */
export function sentence(text) {
  const trimmed = text
    .replace(/, or delete the profile with `[^`]*`/, ", or forget the profile")
    .replace(/,? `[^`]*`/g, "")
    .trim();
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}${/[.?!]$/.test(trimmed) ? "" : "."}`;
}

/** The path of a profile. */
export function profilePath(name, ...rest) {
  return ["/v1/profiles", ...[name, ...rest].map(encodeURIComponent)].join("/");
}
