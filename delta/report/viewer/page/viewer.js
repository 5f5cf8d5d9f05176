"use strict";
// A page with a list and a view of each item: the address, pages of the list, buttons and keys.
//
// The address names an item (#pair=ID) or sets filters of the list by their names (#kind=gained).

const PER_PAGE = 50;
const view = {
  page: null, // what startViewer is given
  about: null,
  items: [], // all of them
  listed: [], // those that pass the filters, in their order
  place: 0, // the page of the list
  raw: false,
  controls: null,
  current: null, // the item on the screen
};
const byId = (id) => document.getElementById(id);
const addressWords = () => new URLSearchParams(location.hash.slice(1));
const itemAddress = (item) => `#${view.page.keyword}=${encodeURIComponent(item.id)}`;

function applyControls() {
  view.listed = view.controls.apply(view.items);
  view.place = 0;
  byId("message").replaceChildren();
  history.replaceState(null, "", view.controls.address());
  drawList();
}

/** Sets the filters that the address names, unless they are those of the list already. */
function filterByAddress() {
  if (`#${addressWords()}` === view.controls.address()) return;
  const unknown = view.controls.set(addressWords());
  view.listed = view.controls.apply(view.items);
  view.place = 0;
  for (const [name, value] of unknown) showMessage(`There is no ${name} here: `, ...visibleText(value));
}

/** Shows one page of the list. */
function drawList() {
  const { page, about, listed, place, raw } = view;
  const pages = Math.max(1, Math.ceil(listed.length / PER_PAGE));
  const first = place * PER_PAGE;
  const entries = listed.slice(first, first + PER_PAGE).map((item) => {
    const attributes = { href: itemAddress(item), class: page.entryClass(item) };
    return node("li", {}, node("a", attributes, ...page.entry(about, item, raw)));
  });
  byId("items").replaceChildren(...entries);
  byId("count").textContent = `${number.format(listed.length)} ${page.nouns[listed.length === 1 ? 0 : 1]}`;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = pages === 1;
    pager.querySelector(".page").textContent = `page ${place + 1} of ${number.format(pages)}`;
    pager.querySelector(".before").disabled = place === 0;
    pager.querySelector(".after").disabled = place >= pages - 1;
  }
}

async function draw(moved) {
  const wanted = addressWords().get(view.page.keyword);
  const item = wanted === null ? null : view.items.find(({ id }) => id === wanted);
  view.current = item ?? null;
  byId("list").hidden = wanted !== null;
  byId("item").hidden = wanted === null;
  byId("message").replaceChildren();
  if (wanted === null) {
    document.title = view.about.title;
    filterByAddress();
    drawList();
    return;
  }
  if (!item) {
    byId("content").replaceChildren();
    showMessage(`There is no such ${view.page.keyword} here: `, ...visibleText(wanted));
    return;
  }
  await drawItem(item, moved);
}

async function drawItem(item, moved) {
  const texts = await view.page.read(item);
  if (view.current !== item) return; // the reader has moved on
  document.title = `${item.id} · ${view.about.title}`;
  byId("content").replaceChildren(...view.page.view(view.about, item, texts, view.raw));
  const place = view.listed.indexOf(item);
  byId("place").textContent =
    place < 0 ? "not in the list" : `${number.format(place + 1)} of ${number.format(view.listed.length)}`;
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place < 0 || place === view.listed.length - 1;
  if (moved) {
    window.scrollTo(0, 0);
    byId("content").querySelector("h1").focus({ preventScroll: true });
  }
}

function stepItem(step) {
  const place = view.listed.indexOf(view.current);
  const other = view.listed[place + step];
  if (place < 0 || !other) return;
  view.place = Math.floor((place + step) / PER_PAGE);
  location.hash = itemAddress(other);
}

function showList() {
  location.hash = view.controls.address();
}

function switchRaw() {
  view.raw = !view.raw;
  for (const button of document.querySelectorAll(".raw")) button.setAttribute("aria-pressed", view.raw);
  draw(false).catch(showError);
}

function turnPage(step) {
  view.place += step;
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
    ArrowLeft: () => stepItem(-1), k: () => stepItem(-1),
    ArrowRight: () => stepItem(1), j: () => stepItem(1),
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
  byId("previous").addEventListener("click", () => stepItem(-1));
  byId("next").addEventListener("click", () => stepItem(1));
  for (const button of document.querySelectorAll(".raw")) button.addEventListener("click", switchRaw);
  for (const button of document.querySelectorAll(".before")) {
    button.addEventListener("click", () => turnPage(-1));
  }
  for (const button of document.querySelectorAll(".after")) {
    button.addEventListener("click", () => turnPage(1));
  }
}

async function openPage(page) {
  showMessage("Reading the index…");
  const index = await readIndex();
  const items = page.itemsOf(index);
  items.forEach((item, place) => (item.place = place));
  Object.assign(view, { page, about: index.about, items });
  byId("heading").replaceChildren(...visibleText(view.about.title));
  byId("summary").replaceChildren(...visibleText(view.about.summary));
  const filters = page.filters(view.about, items, byId("controls").elements);
  view.controls = new Controls(filters, applyControls);
  view.listed = view.controls.apply(items);
  listen();
  await draw(false);
}

function startViewer(page) {
  openPage(page).catch(showError);
}
