"use strict";
// The list of pairs: its filters, its order, and the page of it that is shown.

const PER_PAGE = 50;
const number = new Intl.NumberFormat("en");
const humanize = (name) => name.replaceAll("_", " ");

/** Returns a delta with its sign, or "none". */
function signed(delta) {
  if (delta === null || delta === undefined) return "none";
  return `${delta > 0 ? "+" : delta < 0 ? "−" : ""}${Math.abs(delta).toFixed(1)}`;
}

/** Returns what pairs can be sorted by: name → [label, value of a pair]. */
function orders(about) {
  const entries = {
    rank: ["rank", (pair) => pair.rank],
    chosen_length: ["length of the chosen trace", (pair) => pair.chosen_length],
    rejected_length: ["length of the rejected trace", (pair) => pair.rejected_length],
    length_difference: ["difference of the lengths", (pair) => pair.length_difference],
  };
  about.dimensions.forEach((dimension, at) => {
    entries[dimension] = [`delta in ${humanize(dimension)}`, (pair) => pair.deltas[at]];
  });
  return entries;
}

/** The controls of the list, filled with the available choices. */
class Controls {
  constructor(about, pairs, onChange) {
    this.form = document.getElementById("controls");
    this.orders = orders(about);
    const fields = this.form.elements;
    const outcomes = [...new Set(pairs.map((pair) => pair.outcomes))].sort();
    fill(fields.why, [...new Set(pairs.map((pair) => pair.why))].sort().map((why) => [why, why]));
    fill(fields.outcomes, outcomes.map((name) => [name, name]));
    const all = Object.entries(this.orders).map(([name, [label]]) => [name, label]);
    fill(fields.characters, all.slice(1, 4));
    fill(fields.delta, all.slice(4));
    fill(fields.order, all);
    // On a narrow screen the filters start closed, so that the list is visible.
    document.getElementById("more").open = matchMedia("(min-width: 48rem)").matches;
    this.form.addEventListener("input", () => onChange());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(onChange));
  }

  /** Returns the pairs that pass the filters, sorted. */
  apply(pairs) {
    const fields = this.form.elements;
    const words = splitWords(fields.search.value);
    const ranges = [this.range("delta"), this.range("characters")].filter((range) => range !== null);
    const passing = pairs.filter(
      (pair) =>
        (!fields.why.value || pair.why === fields.why.value) &&
        (!fields.outcomes.value || pair.outcomes === fields.outcomes.value) &&
        ranges.every((contains) => contains(pair)) &&
        words.every((word) => pair.searchText.includes(word)),
    );
    return sortPairs(passing, this.orders[fields.order.value][1], fields.descending.checked ? -1 : 1);
  }

  /** Returns a test of pairs, or null without bounds. A pair without the value fails the test. */
  range(name) {
    const fields = this.form.elements;
    const [low, high] = [fields[`${name}_low`].value, fields[`${name}_high`].value];
    if (low === "" && high === "") return null;
    const value = this.orders[fields[name].value]?.[1] ?? (() => null);
    const least = low === "" ? -Infinity : Number(low);
    const most = high === "" ? Infinity : Number(high);
    return (pair) => value(pair) !== null && value(pair) >= least && value(pair) <= most;
  }
}

const splitWords = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

function fill(select, options) {
  for (const [value, label] of options) {
    // The default: a reset of the form shows the selected pairs again.
    select.append(node("option", { value, selected: value === "selected" }, label));
  }
}

/** Sorts by a value; pairs without a value come last in both directions. */
function sortPairs(pairs, value, direction) {
  return pairs.toSorted((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (a - b) || left.place - right.place;
  });
}

const address = (pair) => `#pair=${encodeURIComponent(pair.pair_id)}`;

function verdictMark(outcome) {
  return node("span", { class: `outcome ${outcome}` }, humanize(outcome));
}

/** Returns a pair of the list, as a link to its view. */
function entry(about, pair, raw) {
  const short = beginning(pair.problem.statement, 240);
  const deltas = about.dimensions.map((dimension, at) =>
    node(
      "span",
      { class: "delta" },
      node("span", { class: "name" }, humanize(dimension)),
      " ",
      node("span", { class: "value" }, signed(pair.deltas[at])),
    ),
  );
  return node(
    "li",
    {},
    node(
      "a",
      { href: address(pair), class: pair.selected ? "entry" : "entry out" },
      node("span", { class: "rank" }, pair.rank === null ? "no rank" : `#${pair.rank}`),
      node("span", { class: "statement" }, raw ? visibleText(short) : renderText(short)),
      node(
        "span",
        { class: "facts" },
        verdictMark(pair.chosen_outcome),
        " over ",
        verdictMark(pair.rejected_outcome),
        node("span", { class: "lengths" }, lengths(pair)),
        pair.selected ? "" : node("span", { class: "why" }, pair.why),
      ),
      node("span", { class: "deltas" }, deltas),
    ),
  );
}

const lengths = (pair) =>
  `${number.format(pair.chosen_length)} over ${number.format(pair.rejected_length)} characters`;

/** Shows one page of the list. */
function showPage(about, pairs, page, raw) {
  const pages = Math.max(1, Math.ceil(pairs.length / PER_PAGE));
  const first = page * PER_PAGE;
  const entries = pairs.slice(first, first + PER_PAGE).map((pair) => entry(about, pair, raw));
  document.getElementById("pairs").replaceChildren(...entries);
  const count = pairs.length === 1 ? "1 pair" : `${number.format(pairs.length)} pairs`;
  document.getElementById("count").textContent = count;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = pages === 1;
    pager.querySelector(".page").textContent = `page ${page + 1} of ${number.format(pages)}`;
    pager.querySelector(".before").disabled = page === 0;
    pager.querySelector(".after").disabled = page >= pages - 1;
  }
}
