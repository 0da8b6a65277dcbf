/**
 * The demo page: one photo in, one answer out.
 *
 * URLs are relative, so that the page works behind any path prefix. Styles are set through the CSSOM only: the
 * Content-Security-Policy forbids inline style.
 */

import { pictureIn } from "./dropped.js";
import { offerCopy, shellQuote } from "./terminal.js";

const byId = (id) => document.getElementById(id);
const page = document.body;
const [input, preview, retry, reopen] = [byId("image"), byId("preview"), byId("retry"), byId("reopen")];

const MAX_BYTES = Number(page.dataset.maxBytes);
const ACTION = byId("ask").getAttribute("action"); // with the model that was chosen
const MAX_TEXT = byId("limit").textContent.trim();
const ENVELOPE_BYTES = 300; // boundaries and headers of a multipart body around one file, without its name
const ROWS = 5;
const PATIENCE_MS = 120_000; // longer than any timeout of the server, so that the server's own message comes first
const [masthead, intro] = [document.querySelector(".model"), document.querySelector(".intro")];
// What the page was made with fits one version and its labels; another may answer.
const OWN_MODEL = masthead.textContent;
const OWN_WORDS = [...intro.children].map((node) => node.textContent);
const ANY_WORDS = ["What is in the photo?", "Give the model a photo and see what it makes of it."];
const ownRows = [...byId("scores").children].map((row) => row.cloneNode(true));
const anyRows = ownRows.map(blank);
const OWN_LABELS = ownRows.map((row) => row.querySelector(".label").textContent).filter(Boolean);

let restingRows = ownRows; // on show while there is no answer
let photo = null; // the file on show
let pending = null; // AbortController of the newest request; an older one has lost and says nothing
let previewUrl = null;

/**
 * A failure told to the person: what happened, what to do, whether the same photo may be sent again, and whether the
 * page may be out of date.
 */
class Problem extends Error {
  constructor(title, message, { mayRetry = false, mayReopen = false, requestId = "" } = {}) {
    super(message);
    Object.assign(this, { title, mayRetry, mayReopen, requestId });
  }
}

/** Refusals that no other photo helps with: what happened, what to do beside what the service says. */
const OUT_OF_DATE = {
  401: ["The service wants an API key", "This page sends none: ask from a terminal, or reload the page later."],
  403: ["The service does not let this page ask", "Reload the page, or ask whoever runs the service."],
  404: ["That model is not here any more", "Open the page anew to see which models there are."],
};

// ---- Words and numbers -------------------------------------------------------------------------------------------

/** A score as a percentage that never rounds to a certainty the model did not claim. */
export function percent(score) {
  const text = (score * 100).toFixed(1);
  if (text === "100.0" && score < 1) return ">99.9%";
  if (text === "0.0" && score > 0) return "<0.1%";
  return `${text}%`;
}

/** Whether all scores may be shares of a whole, give or take the rounding of 32 bits; they need not be. */
function areShares(scores) {
  return scores.every((score) => score >= 0 && score <= 1 + 1e-6);
}

/** A score that is no share, as plain as it came. */
function plain(score) {
  return String(Number(score.toPrecision(5)));
}

/** Bytes as decimal kB or MB, rounded up: a file just over the limit must not look like one at the limit. */
function fileSize(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(Math.ceil(bytes / 1e5) / 10).toFixed(1)} MB`;
}

/** The curl command that sends a file of this name to this service. */
export function curlLine(fileName, href = location.href) {
  // Control and direction characters could act on, or lie in, the terminal that the line is pasted into.
  let name = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(fileName) || !fileName ? "photo.jpg" : fileName;
  if (name === "-") name = "./-"; // curl would read standard input
  // curl ends an unquoted name at "," or ";" and strips blanks around it.
  if (/[,;"\\]|^\s|\s$/.test(name)) name = `"${name.replace(/["\\]/g, "\\$&")}"`;
  return `curl -F ${shellQuote(`image=@${name}`)} ${shellQuote(new URL(ACTION, href).href)}`;
}

// ---- What the page shows -----------------------------------------------------------------------------------------

function setState(state) {
  page.dataset.state = state;
  byId("answer").setAttribute("aria-busy", String(state === "busy"));
}

function announce(text) {
  byId("status").textContent = text;
}

function setNote(text) {
  byId("note").textContent = text;
  byId("note").hidden = !text;
}

/** On a phone the answer lies below the photo: bring it up, as far as needed. */
function reveal() {
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  byId("answer").scrollIntoView({ block: "nearest", behavior });
}

function setFacts({ answerer = "–", time = "–", requestId = "–" } = {}) {
  byId("answerer").textContent = answerer;
  byId("time").textContent = time;
  byId("request-id").textContent = requestId || "–";
}

function setVerdict(label, score = "", text = "") {
  byId("label").textContent = label;
  byId("score").textContent = text;
  byId("score").value = String(score);
}

function clearAnswer(verdict) {
  byId("problem").replaceChildren();
  hideWaysOut();
  setVerdict(verdict);
  setFacts();
  byId("scores").replaceChildren(...restingRows.map((row) => row.cloneNode(true)));
}

function hideWaysOut() {
  // or the keyboard would fall back to the top of the page
  if ([retry, reopen].includes(document.activeElement)) input.focus();
  retry.hidden = reopen.hidden = true;
}

function showPhoto(file) {
  photo = file;
  page.classList.add("has-photo");
  byId("choose").textContent = "Choose another photo";
  byId("file").textContent = `${file.name || "unnamed"}, ${fileSize(file.size)}`;
  byId("placeholder-name").textContent = file.name || "unnamed";
  byId("curl").textContent = curlLine(file.name);

  if (previewUrl) URL.revokeObjectURL(previewUrl);
  const url = (previewUrl = URL.createObjectURL(file));
  byId("placeholder").hidden = true;
  preview.hidden = true;
  preview.alt = `The photo: ${file.name}`;
  preview.onload = () => {
    if (url === previewUrl) preview.hidden = false;
  };
  // TIFF and the like: the server may well read what the browser cannot show.
  preview.onerror = () => {
    if (url === previewUrl) byId("placeholder").hidden = false;
  };
  preview.src = url;
}

function blank(row) {
  const item = row.cloneNode(true);
  item.setAttribute("aria-hidden", "true");
  item.querySelector(".label").textContent = "";
  return item;
}

function row({ label, score }, text) {
  const item = anyRows[0].cloneNode(true);
  item.removeAttribute("aria-hidden");
  item.querySelector(".label").textContent = label;
  item.querySelector(".score").textContent = text;
  item.querySelector(".score").value = String(score);
  return item;
}

/** Put the model that answered at the top of the page, and take words away that were made for other labels. */
function follow({ name, version }, top) {
  const span = document.createElement("span");
  span.textContent = `version ${version}`;
  masthead.replaceChildren(`${name} `, span);
  const fits = masthead.textContent === OWN_MODEL
    || (OWN_LABELS.length > 0 && top.every(({ label }) => OWN_LABELS.includes(label)));
  [...intro.children].forEach((node, i) => (node.textContent = (fits ? OWN_WORDS : ANY_WORDS)[i]));
  restingRows = fits ? ownRows : anyRows;
}

function showAnswer({ model, top, time, requestId }) {
  follow(model, top);
  const shares = areShares(top.map(({ score }) => score));
  const texts = top.map(({ score }) => (shares ? percent(score) : plain(score)));
  const rows = top.map((one, i) => row(one, texts[i]));
  byId("scores").replaceChildren(...rows);
  byId("scores").getBoundingClientRect(); // lay out at zero first, so that the bars grow
  rows.forEach((item, i) => {
    item.querySelector(".bar").hidden = !shares; // a bar is a part of a whole
    if (shares) item.querySelector(".bar span").style.setProperty("--share", String(Math.min(top[i].score, 1)));
  });
  setVerdict(top[0].label, top[0].score, texts[0]);
  setFacts({ answerer: `${model.name}, version ${model.version}`, time, requestId });
  setState("done");
  reveal();
  announce(`Answer: ${top[0].label}, ${texts[0]}, in ${time}`);
}

function showProblem(problem) {
  clearAnswer("");
  setFacts({ requestId: problem.requestId });
  const title = document.createElement("strong");
  title.textContent = problem.title;
  byId("problem").replaceChildren(title, problem.message);
  retry.hidden = !problem.mayRetry;
  reopen.hidden = !problem.mayReopen;
  setState("failed");
  reveal();
  announce(""); // the alert speaks for itself
}

// ---- Asking the service ------------------------------------------------------------------------------------------

/** Throw for what is known to be refused, without sending it. */
function check(file) {
  if (file.size === 0) {
    throw new Problem("That file is empty", `${file.name || "It"} holds no bytes. Choose another photo.`);
  }
  const body = file.size + ENVELOPE_BYTES + new TextEncoder().encode(file.name).length;
  if (body > MAX_BYTES) {
    throw new Problem(
      "That photo is too large",
      `It has ${fileSize(file.size)}, and the service takes up to ${MAX_TEXT}. It was not sent. Choose a smaller one.`,
    );
  }
}

/** The words for an answer that is not in the service's own format, as a proxy on the way may send. */
function foreignAnswer(status, requestId) {
  const signIn = ["You may not ask from here", "Reload the page to sign in again, or ask whoever runs the service."];
  const known = {
    401: signIn,
    403: signIn,
    404: ["The service is not at this address", "Check the address of this page: it may lack its last slash."],
    413: ["That photo is too large", `It was refused on the way to the service. Choose one under ${MAX_TEXT}.`],
    429: ["Too many requests", "Wait a moment, then try again."],
    502: ["The service is not running", "It may be starting. Wait a moment, then try again."],
    503: ["The service is busy", "Wait a moment, then try again."],
    504: ["The service took too long", "It may be busy. Wait a moment, then try again."],
  };
  const other = ["No answer that this page can read", `The reply had status ${status}. Try again, or ask its operator.`];
  const mayReopen = status === 401 || status === 403;
  return new Problem(...(known[status] ?? other), { mayRetry: !mayReopen && status !== 413, mayReopen, requestId });
}

/** The words for an error of the service itself. message: its own. */
function refusal({ status, headers }, message, requestId) {
  if (status in OUT_OF_DATE) {
    const [title, advice] = OUT_OF_DATE[status];
    return new Problem(title, `${message} ${advice}`, { mayReopen: true, requestId });
  }
  const mayRetry = status >= 500 || status === 429 || status === 408;
  const wait = Number(headers.get("Retry-After"));
  const title = mayRetry ? "The service could not answer now" : "The service refused this file";
  const advice = mayRetry && wait > 0 ? ` It asks to wait ${wait} s.` : "";
  return new Problem(title, message + advice, { mayRetry, requestId });
}

/** Read a reply of the service, or throw the Problem it tells of. */
async function readReply(response) {
  const text = await response.text();
  const fallbackId = response.headers.get("X-Request-ID") ?? "";
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    throw foreignAnswer(response.status, fallbackId);
  }
  const requestId = body?.request_id ?? fallbackId;
  if (!response.ok) {
    if (typeof body?.error?.message !== "string") throw foreignAnswer(response.status, requestId);
    throw refusal(response, body.error.message, requestId);
  }
  const top = body?.predictions?.[0]?.top;
  const model = body?.model;
  const readable = typeof model?.name === "string" && typeof model.version === "string"
    && Array.isArray(top) && top.length > 0
    && top.every((one) => typeof one?.label === "string" && Number.isFinite(one.score));
  if (!readable) throw foreignAnswer(response.status, requestId);
  return { model, top: top.slice(0, ROWS), requestId };
}

/** Post the file and give the answer with the time from the first byte out to the last byte in. */
async function post(file, signal) {
  const form = new FormData();
  form.append("image", file, file.name);
  const started = performance.now();
  let reply;
  try {
    const response = await fetch(ACTION, {
      method: "POST", body: form, signal, cache: "no-store", headers: { Accept: "application/json" },
    });
    reply = await readReply(response);
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (signal.aborted) throw new Problem("No answer came", "The page stopped waiting.", { mayRetry: true });
    // fetch tells a lost network and an unreadable file in the same words.
    const message = navigator.onLine
      ? "The connection failed, or the file has moved since you chose it. Try again."
      : "This device is offline. Try again once it is connected.";
    throw new Problem("The service was not reached", message, { mayRetry: true });
  }
  const ms = Math.max(1, Math.round(performance.now() - started));
  return { ...reply, time: `${ms.toLocaleString("en")} ms` };
}

/** Ask about the photo on show. A newer call aborts this one, and only the newest reaches the page. */
async function ask() {
  pending?.abort();
  const mine = (pending = new AbortController());
  const timer = setTimeout(() => mine.abort(), PATIENCE_MS);
  clearAnswer("Firing…");
  setState("busy");
  announce(`Asking about ${photo.name || "the photo"}`);
  try {
    check(photo);
    const answer = await post(photo, mine.signal);
    if (mine === pending) showAnswer(answer);
  } catch (error) {
    if (mine !== pending) return;
    showProblem(error instanceof Problem ? error : new Problem("This page has failed", "Reload it and try again."));
    if (!(error instanceof Problem)) throw error;
  } finally {
    clearTimeout(timer);
  }
}

function take(files) {
  const [file, ...others] = files;
  setNote(others.length ? `You gave ${others.length + 1} files. This is the first, ${file.name}.` : "");
  showPhoto(file);
  ask();
}

/** Say why nothing is asked; the answer on show stays. */
function refuse(reason) {
  setNote(reason);
  announce(reason);
}

// ---- The ways in: choose, drop, paste ----------------------------------------------------------------------------

input.addEventListener("change", () => {
  const files = [...input.files];
  input.value = ""; // so that choosing the same file again is a change again
  if (files.length) take(files);
});

byId("kiln").addEventListener("click", () => input.click());
byId("ask").addEventListener("submit", (event) => event.preventDefault());
retry.addEventListener("click", ask);

const bringsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

// The whole page takes a drop, of anything: the browser would leave the page and open it.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  if (!bringsFiles(event)) return; // and keep the effect: a link may allow none but its own
  event.dataTransfer.dropEffect = "copy";
  page.classList.add("dragging");
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) page.classList.remove("dragging");
});

document.addEventListener("drop", (event) => {
  event.preventDefault();
  page.classList.remove("dragging");
  const { items, files } = event.dataTransfer;
  if (!bringsFiles(event)) {
    const picture = pictureIn(event.dataTransfer);
    if (picture) take([picture]);
    else refuse("That brought no file. Save the picture first, then drop the file here.");
  } else if (!files.length || [...items].find((item) => item.kind === "file")?.webkitGetAsEntry?.()?.isDirectory) {
    refuse("That was a folder. Open it and drop one photo.");
  } else {
    take([...files]);
  }
});

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) {
    event.preventDefault();
    take(files);
  } else {
    refuse("The clipboard holds no image. Copy a photo, then paste again.");
  }
});

// ---- Start -------------------------------------------------------------------------------------------------------

if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("paste-key").textContent = "⌘";
byId("curl").textContent = curlLine("photo.jpg");
offerCopy(byId("curl"), byId("copy"), announce);
document.documentElement.classList.add("js");
