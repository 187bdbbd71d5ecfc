// The page of a webhook inbox. Without this script all of it is there to read, search and change; with it requests
// arrive by themselves, keys move, and things are copied. It never makes HTML out of text.
"use strict";

const head = document.getElementById("head");
const pane = document.getElementById("pane");
const said = document.getElementById("said");
const notice = document.getElementById("notice");
const help = document.getElementById("help");
const narrow = matchMedia("(max-width: 52rem)");
const base = head.dataset.base;
const MOST_ROWS = 300;

const byId = (id) => document.getElementById(id);
const links = () => [...document.querySelectorAll("#rows > .row > a")];
const rowOf = (id) => byId(`r-${id}`);

// ---- Time: the server's clock decides, this machine's may be wrong.

const skew = Number(head.dataset.now) * 1000 - Date.now();

function short(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds >= 172800) return `${Math.floor(seconds / 86400)} d`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

function tell(root = document) {
  const now = Date.now() + skew;
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const passed = now - Date.parse(time.dateTime);
    write(time, passed < 1000 ? "now" : `${short(passed)} ago`);
    time.classList.toggle("recent", passed < 60000);
  }
  for (const time of root.querySelectorAll("time[data-left]")) write(time, short(Date.parse(time.dateTime) - now));
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(tell, 1000);

// ---- Saying things: to everybody in a corner, and to screen readers.

let quiet;
function say(text, { loud = false } = {}) {
  said.textContent = text;
  if (!loud) return;
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(quiet);
  quiet = setTimeout(() => { notice.hidden = true; }, 4000);
}

// ---- Copying.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard outside of https and localhost: the old way, from a field of our own.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

async function copyFrom(link) {
  const answer = await fetch(link.dataset.copyFrom, { headers: { Accept: "*/*" } });
  if (!answer.ok) return say(await reason(answer), { loud: true });
  const done = await copy(await answer.text());
  say(done ? `The ${link.dataset.what} is copied.` : "The browser does not let this page copy.", { loud: true });
}

function addCopyButton(command) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${command.dataset.copy}`);
  button.addEventListener("click", async () => {
    const done = await copy(command.querySelector("code").textContent);
    button.textContent = done ? "Copied" : "Not copied";
    say(done ? "Copied to the clipboard." : "The browser does not let this page copy.");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  command.append(button);
}

// ---- Tabs (ARIA Authoring Practices, tabs with manual activation where a panel has to be fetched first).

function makeTabs(nav) {
  const tabs = [...nav.querySelectorAll("[data-tab]")];
  const panelOf = (tab) => byId(`panel-${tab.dataset.tab}`);
  nav.setAttribute("role", "tablist");
  const choose = (chosen, focus) => {
    for (const tab of tabs) {
      const is = tab === chosen;
      tab.removeAttribute("aria-current");
      tab.setAttribute("aria-selected", is);
      tab.tabIndex = is ? 0 : -1;
      panelOf(tab).hidden = !is;
    }
    if (focus) chosen.focus();
    if (panelOf(chosen).dataset.wanting) fetchPanel(chosen.dataset.tab, chosen.href);
    history.replaceState(history.state, "", chosen.href);
  };
  for (const [index, tab] of tabs.entries()) {
    const panel = panelOf(tab);
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    panel.tabIndex = 0;
    tab.setAttribute("aria-selected", tab.hasAttribute("aria-current"));
    tab.tabIndex = tab.hasAttribute("aria-current") ? 0 : -1;
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      choose(tab);
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const other = { Home: tabs[0], End: tabs.at(-1) }[event.key] ?? (step && tabs.at((index + step) % tabs.length));
      if (!other) return;
      event.preventDefault();
      choose(other, true);
    });
  }
}

function fetchPanel(name, url) {
  const id = `#panel-${name}`;
  const panel = document.querySelector(id);
  // What changes by itself is fetched each time that it is looked at.
  if (panel.dataset.wanting !== "always") delete panel.dataset.wanting;
  return htmx.ajax("GET", url, { target: id, select: `${id} > *`, swap: "innerHTML" });
}

// ---- What is opened.

const openedId = () => pane.querySelector("[data-request]")?.dataset.request;

function showCurrent() {
  const id = openedId();
  for (const link of links()) {
    if (link.parentElement.id === `r-${id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (id) rowOf(id)?.classList.remove("fresh");
}

htmx.onLoad((root) => {
  for (const command of root.querySelectorAll("[data-copy]")) addCopyButton(command);
  for (const nav of root.querySelectorAll("[data-tabs]")) makeTabs(nav);
  tell(root.parentElement ?? document);
  // Content that is fetched came without its links being known to the script: one listener below serves them all.
});

document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target !== pane) return;
  // Keys may have moved on while this was loaded.
  if (!pause) showCurrent();
  pane.scrollTop = 0;
  if (narrow.matches) {
    scrollTo(0, 0);
    pane.querySelector("h2[tabindex]")?.focus({ preventScroll: true });
  }
  const title = pane.querySelector("h2")?.textContent.trim().replace(/\s+/g, " ");
  if (title) say(title.slice(0, 200));
});

const elsewhere = (event) => event.ctrlKey || event.metaKey || event.shiftKey;

// Into another tab or window: the browser's affair, not htmx's.
document.addEventListener("click", (event) => {
  if (elsewhere(event) && event.target.closest("a")) event.stopImmediatePropagation();
}, { capture: true });

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || elsewhere(event)) return;
  if (link.dataset.copyFrom) {
    event.preventDefault();
    copyFrom(link);
  } else if ("whole" in link.dataset) {
    event.preventDefault();
    fetchPanel(link.closest("[data-panel]").dataset.panel, link.href);
  }
});

// ---- Live.

const live = byId("live");
let newest = links()[0]?.parentElement.id.slice(2) ?? "00000000-0000-0000-0000-000000000000";

// The extension makes a new EventSource where the old one was closed for good, and that one knows no Last-Event-ID.
htmx.createEventSource = (url) => {
  const source = new EventSource(`${url}${url.includes("?") ? "&" : "?"}after=${newest}`);
  source.addEventListener("gone", () => location.reload());
  return source;
};

function state(word, name) {
  live.dataset.state = name;
  write(live.querySelector(".live-word"), word);
}

document.body.addEventListener("htmx:sseOpen", () => state("live", "live"));
document.body.addEventListener("htmx:sseError", () => state("reconnecting", "away"));

document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
  const id = event.detail.lastEventId;
  if (rowOf(id)) event.preventDefault();
  if (id > newest) newest = id;
});

document.body.addEventListener("htmx:sseMessage", (event) => {
  const wasEmpty = links().length === 1;
  trim();
  announce();
  const link = rowOf(event.detail.lastEventId)?.querySelector("a");
  // The first one is what everybody waits for.
  if (!link || !wasEmpty || narrow.matches || !pane.querySelector("[data-pane=overview]")) return;
  // htmx takes hold of what it swapped in a moment later; until then a click would load a page.
  htmx.process(link);
  link.click();
});

function trim() {
  const kept = Number(byId("rows").dataset.kept);
  const rows = [...document.querySelectorAll("#rows > .row")];
  const most = Math.min(kept, MOST_ROWS);
  if (rows.length <= most) return;
  for (const row of rows.slice(most)) row.remove();
  const older = byId("older")?.querySelector("a");
  if (older) {
    const url = new URL(older.href);
    url.searchParams.set("before", rows[most - 1].id.slice(2));
    older.href = url.href;
    older.setAttribute("hx-get", url.pathname + url.search);
    htmx.process(older);
  }
}

// ---- Deliveries: a panel that looks again while one is under way, and marks in the list.

// Nobody looks at a page in the background; its next look comes a second after it is seen again.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if ("poll" in event.detail.elt.dataset && document.hidden) event.preventDefault();
});

let unfolded = [];
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target?.id !== "panel-deliveries") return;
  unfolded = [...detail.target.querySelectorAll("details[open]")].map((each) => each.id);
});
document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target?.id !== "panel-deliveries") return;
  for (const id of unfolded) byId(id)?.setAttribute("open", "");
  const count = byId("tab-deliveries")?.querySelector(".count");
  if (count) write(count, String(Math.max(Number(count.textContent), detail.target.querySelectorAll(".delivery").length)));
  lookAtMarks();
});

const SOONEST_MARKS = 1500;
const LATEST_MARKS = 30000;
let marksIn = SOONEST_MARKS;
let marksTimer = null;

// Those that wait, and those of rows that came a moment ago.
function openMarks() {
  return [...document.querySelectorAll("#rows .sent[data-waits], #rows .fresh .sent:empty")].slice(0, 50);
}

function lookAtMarks() {
  marksIn = SOONEST_MARKS;
  clearTimeout(marksTimer);
  marksTimer = setTimeout(fetchMarks, marksIn);
}

async function fetchMarks() {
  const marks = document.querySelector("[data-sends-on]") ? openMarks() : [];
  if (!marks.length) return;
  if (!document.hidden) {
    const ids = marks.map((each) => each.id.slice(2));
    const before = marks.map((each) => each.textContent).join();
    await htmx.ajax("GET", `${base}/marks?ids=${ids}`, { source: "#found", target: "#found", swap: "none" });
    const after = ids.map((id) => byId(`m-${id}`)?.textContent).join();
    // Less and less often where nothing changes: a next try may be hours away.
    marksIn = before === after ? Math.min(marksIn * 2, LATEST_MARKS) : SOONEST_MARKS;
  }
  marksTimer = setTimeout(fetchMarks, marksIn);
}

document.body.addEventListener("htmx:sseMessage", lookAtMarks);
document.body.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.target?.id === "found") lookAtMarks();
});
lookAtMarks();

// ---- Unseen: the title counts them, and a screen reader hears of them every few seconds at most.

let unseen = 0;
let unsaid = 0;
let speaking = null;
const name = head.dataset.name;

function announce() {
  if (document.hidden || !document.hasFocus()) unseen += 1;
  entitle();
  unsaid += 1;
  speaking ??= setTimeout(() => {
    say(unsaid === 1 ? "A new request." : `${unsaid} new requests.`);
    unsaid = 0;
    speaking = null;
  }, 2000);
}

function entitle() {
  document.title = `${unseen ? `(${unseen}) ` : ""}${name} · instantlite`;
}

function seen() {
  if (document.hidden) return;
  unseen = 0;
  entitle();
}

addEventListener("focus", seen);
document.addEventListener("visibilitychange", seen);

// ---- Keys.

let pause = null;
let marked = null;

function move(step) {
  const all = links();
  if (!all.length) return;
  const now = all.findIndex((link) => link.hasAttribute("aria-current"));
  const link = all[now < 0 ? 0 : Math.min(all.length - 1, Math.max(0, now + step))];
  if (all[now] === link) return;
  all[now]?.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest" });
  // Loaded once it stands still: holding the key down costs one request, not thirty a second.
  clearTimeout(pause);
  pause = setTimeout(() => {
    pause = null;
    link.click();
  }, 140);
}

function mark(id) {
  if (marked) rowOf(marked)?.classList.remove("marked");
  marked = id;
  if (id) rowOf(id)?.classList.add("marked");
}

function compare() {
  const id = links().find((link) => link.hasAttribute("aria-current"))?.parentElement.id.slice(2) ?? openedId();
  if (!id) return say("Open a request first.", { loud: true });
  if (!marked || marked === id) {
    mark(marked === id ? null : id);
    return say(marked ? "Marked. Press d on another request to compare the two." : "The mark is gone.", { loud: true });
  }
  const url = `${base}/compare?left=${marked}&right=${id}`;
  mark(null);
  return htmx.ajax("GET", url, { target: "#pane" }).then(() => history.pushState({ htmx: true }, "", url));
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => byId("q").focus(),
  c: () => byId("copy-curl")?.click(),
  d: compare,
  "?": () => help.showModal(),
  Escape: () => mark(null),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || help.open) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
  if (!act) return;
  event.preventDefault();
  act();
});

const helpButton = document.querySelector("[data-help]");
helpButton.hidden = false;
helpButton.addEventListener("click", () => help.showModal());

// ---- What went wrong, in the server's own words.

async function reason(answer) {
  try {
    return (await answer.json()).message;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

document.body.addEventListener("htmx:responseError", ({ detail }) => {
  let text = `The server answered ${detail.xhr.status}.`;
  try {
    text = JSON.parse(detail.xhr.response).message ?? text;
  } catch {
    // A page, not JSON: the status says enough.
  }
  say(text, { loud: true });
});
document.body.addEventListener("htmx:sendError", () => say("The server does not answer.", { loud: true }));
