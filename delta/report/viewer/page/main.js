"use strict";
// The page: the view that the address names, buttons and keys.

const view = {
  about: null,
  pairs: [], // all of them
  listed: [], // those that pass the filters, in their order
  page: 0,
  raw: false,
  controls: null,
  current: null, // the pair on the screen
};
const byId = (id) => document.getElementById(id);

/** Returns the id of the pair in the address; null for the list. */
function pairInAddress() {
  const match = /^#pair=(.*)$/.exec(location.hash);
  if (!match) return null;
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}

function applyControls() {
  view.listed = view.controls.apply(view.pairs);
  view.page = 0;
  drawList();
}

function drawList() {
  showPage(view.about, view.listed, view.page, view.raw);
}

async function draw(moved) {
  const wanted = pairInAddress();
  const pair = wanted === null ? null : view.pairs.find(({ pair_id }) => pair_id === wanted);
  view.current = pair ?? null;
  byId("list").hidden = wanted !== null;
  byId("pair").hidden = wanted === null;
  byId("message").replaceChildren();
  if (wanted === null) {
    document.title = view.about.title;
    drawList();
    return;
  }
  if (!pair) {
    byId("content").replaceChildren();
    showMessage("There is no such pair here: ", ...visibleText(wanted));
    return;
  }
  await drawPair(pair, moved);
}

async function drawPair(pair, moved) {
  const sides = await Promise.all([trace(pair.chosen_at), trace(pair.rejected_at)]);
  if (view.current !== pair) return; // the reader has moved on
  document.title = `${pair.pair_id} · ${view.about.title}`;
  byId("content").replaceChildren(...pairView(view.about, pair, sides, view.raw));
  const place = view.listed.indexOf(pair);
  byId("place").textContent =
    place < 0 ? "not in the list" : `${number.format(place + 1)} of ${number.format(view.listed.length)}`;
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place < 0 || place === view.listed.length - 1;
  if (moved) {
    window.scrollTo(0, 0);
    byId("content").querySelector("h1").focus({ preventScroll: true });
  }
}

function stepPair(step) {
  const place = view.listed.indexOf(view.current);
  const other = view.listed[place + step];
  if (place < 0 || !other) return;
  view.page = Math.floor((place + step) / PER_PAGE);
  location.hash = address(other);
}

function showList() {
  location.hash = "#list";
}

function switchRaw() {
  view.raw = !view.raw;
  for (const button of document.querySelectorAll(".raw")) button.setAttribute("aria-pressed", view.raw);
  draw(false).catch(showError);
}

function turnPage(step) {
  view.page += step;
  drawList();
  byId("list").scrollIntoView();
}

function showMessage(...parts) {
  byId("message").replaceChildren(...parts);
}

function showError(error) {
  showMessage(String(error.message ?? error));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const keys = {
    ArrowLeft: () => stepPair(-1), k: () => stepPair(-1),
    ArrowRight: () => stepPair(1), j: () => stepPair(1),
    Escape: showList, r: switchRaw, "/": () => (showList(), byId("search").focus()),
  };
  if (!Object.hasOwn(keys, event.key)) return;
  if (!view.current && event.key !== "/" && event.key !== "r") return;
  event.preventDefault();
  keys[event.key]();
}

function listen() {
  window.addEventListener("hashchange", () => draw(true).catch(showError));
  document.addEventListener("keydown", onKey);
  byId("back").addEventListener("click", showList);
  byId("previous").addEventListener("click", () => stepPair(-1));
  byId("next").addEventListener("click", () => stepPair(1));
  for (const button of document.querySelectorAll(".raw")) button.addEventListener("click", switchRaw);
  for (const button of document.querySelectorAll(".before")) {
    button.addEventListener("click", () => turnPage(-1));
  }
  for (const button of document.querySelectorAll(".after")) {
    button.addEventListener("click", () => turnPage(1));
  }
}

async function start() {
  showMessage("Reading the index…");
  const { about, pairs } = await readIndex();
  pairs.forEach((pair, place) => (pair.place = place));
  Object.assign(view, { about, pairs });
  byId("heading").replaceChildren(...visibleText(about.title));
  byId("summary").replaceChildren(...visibleText(about.summary));
  view.controls = new Controls(about, pairs, applyControls);
  view.listed = view.controls.apply(pairs);
  listen();
  await draw(false);
}

start().catch(showError);
