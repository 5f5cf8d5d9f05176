"use strict";
// The list of pairs: what is asked of it, which pairs answer, and a page of them.

const PER_PAGE = 50;
const number = new Intl.NumberFormat("en");
const spoken = (name) => name.replaceAll("_", " ");

/** A delta with its sign; null is no number. */
function signed(delta) {
  if (delta === null || delta === undefined) return "none";
  return `${delta > 0 ? "+" : delta < 0 ? "−" : ""}${Math.abs(delta).toFixed(1)}`;
}

/** What a pair is sorted by: name → [label, value]. */
function orders(about) {
  const found = {
    rank: ["rank", (pair) => pair.rank],
    chosen_length: ["length of the chosen trace", (pair) => pair.chosen_length],
    rejected_length: ["length of the rejected trace", (pair) => pair.rejected_length],
    length_difference: ["difference of the lengths", (pair) => pair.length_difference],
  };
  about.dimensions.forEach((dimension, at) => {
    found[dimension] = [`delta in ${spoken(dimension)}`, (pair) => pair.deltas[at]];
  });
  return found;
}

/** The controls of the list, filled with what there is to choose. */
class Controls {
  constructor(about, pairs, changed) {
    this.form = document.getElementById("controls");
    this.orders = orders(about);
    const fields = this.form.elements;
    const outcomes = [...new Set(pairs.map((pair) => pair.outcomes))].sort();
    fill(fields.shown, [...new Set(pairs.map((pair) => pair.why))].sort().map((why) => [why, why]));
    fill(fields.outcomes, outcomes.map((name) => [name, name]));
    const all = Object.entries(this.orders).map(([name, [label]]) => [name, label]);
    fill(fields.characters, all.slice(1, 4));
    fill(fields.delta, all.slice(4));
    fill(fields.order, all);
    // On a narrow screen the list comes first.
    document.getElementById("more").open = matchMedia("(min-width: 48rem)").matches;
    this.form.addEventListener("input", () => changed());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(changed));
  }

  /** The pairs that are asked for, in the order that is asked for. */
  applied(pairs) {
    const fields = this.form.elements;
    const found = wordsOf(fields.search.value);
    const ranges = [this.range("delta"), this.range("characters")].filter((range) => range !== null);
    const kept = pairs.filter(
      (pair) =>
        (!fields.shown.value || pair.why === fields.shown.value) &&
        (!fields.outcomes.value || pair.outcomes === fields.outcomes.value) &&
        ranges.every((holds) => holds(pair)) &&
        found.every((word) => pair.searched.includes(word)),
    );
    return sorted(kept, this.orders[fields.order.value][1], fields.descending.checked ? -1 : 1);
  }

  /** A test of pairs; null where nothing bounds it. A pair without the value fails it. */
  range(name) {
    const fields = this.form.elements;
    const [low, high] = [fields[`${name}_low`].value, fields[`${name}_high`].value];
    if (low === "" && high === "") return null;
    const value = this.orders[fields[name].value]?.[1] ?? (() => null);
    const above = low === "" ? -Infinity : Number(low);
    const below = high === "" ? Infinity : Number(high);
    return (pair) => value(pair) !== null && value(pair) >= above && value(pair) <= below;
  }
}

const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

function fill(select, options) {
  for (const [value, label] of options) {
    // A reset of the form comes back to the selected pairs.
    select.append(node("option", { value, selected: value === "selected" }, label));
  }
}

/** Sorted by a value; pairs without one come last in both directions. */
function sorted(pairs, value, direction) {
  return pairs.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (a - b) || one.place - other.place;
  });
}

const address = (pair) => `#pair=${encodeURIComponent(pair.pair_id)}`;

function verdictMark(outcome) {
  return node("span", { class: `outcome ${outcome}` }, spoken(outcome));
}

/** One pair of the list, as a link to it. */
function entry(about, pair, raw) {
  const short = beginning(pair.problem.statement, 240);
  const deltas = about.dimensions.map((dimension, at) =>
    node(
      "span",
      { class: "delta" },
      node("span", { class: "name" }, spoken(dimension)),
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
      node("span", { class: "statement" }, raw ? visible(short) : rendered(short)),
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

/** Draws one page of the list. */
function showPage(about, pairs, page, raw) {
  const pages = Math.max(1, Math.ceil(pairs.length / PER_PAGE));
  const first = page * PER_PAGE;
  const shown = pairs.slice(first, first + PER_PAGE);
  document.getElementById("pairs").replaceChildren(...shown.map((pair) => entry(about, pair, raw)));
  const count = pairs.length === 1 ? "1 pair" : `${number.format(pairs.length)} pairs`;
  document.getElementById("count").textContent = count;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = pages === 1;
    pager.querySelector(".page").textContent = `page ${page + 1} of ${number.format(pages)}`;
    pager.querySelector(".before").disabled = page === 0;
    pager.querySelector(".after").disabled = page >= pages - 1;
  }
}
