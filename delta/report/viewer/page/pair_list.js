"use strict";
// The list of pairs: its filters, its order, and its entries.

/** Returns a delta with its sign, or "none". */
function signed(delta) {
  if (delta === null || delta === undefined) return "none";
  return `${delta > 0 ? "+" : delta < 0 ? "−" : ""}${Math.abs(delta).toFixed(1)}`;
}

/** Returns a record for each pair of the index. */
function pairsOf({ columns, problems }) {
  return rows(columns).map((pair) => {
    pair.id = pair.pair_id;
    pair.problem = problems[pair.problem];
    pair.length_difference = pair.chosen_length - pair.rejected_length;
    pair.outcomes = `${pair.chosen_outcome} > ${pair.rejected_outcome}`;
    const turns = pair.problem.history.map(({ content }) => content);
    pair.searchText = [pair.id, ...turns, pair.problem.statement].join("\n").toLowerCase();
    return pair;
  });
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

/** Fills the fields with the available choices; returns the function that applies them. */
function pairFilters(about, pairs, fields) {
  const values = orders(about);
  const options = Object.entries(values).map(([name, [label]]) => [name, label]);
  fill(fields.why, distinctOptions(pairs, "why").sort(), "selected");
  fill(fields.outcomes, distinctOptions(pairs, "outcomes").sort());
  fill(fields.characters, options.slice(1, 4));
  fill(fields.delta, options.slice(4));
  fill(fields.order, options);
  return ({ search, why, outcomes, order, descending }, items) => {
    const words = splitWords(search.value);
    const ranges = ["delta", "characters"].map((name) => rangeOf(fields, name, values));
    const passing = items.filter(
      (pair) =>
        (!why.value || pair.why === why.value) &&
        (!outcomes.value || pair.outcomes === outcomes.value) &&
        ranges.every((contains) => contains(pair)) &&
        words.every((word) => pair.searchText.includes(word)),
    );
    return sortPairs(passing, values[order.value][1], descending.checked ? -1 : 1);
  };
}

/** Returns a test of pairs. With bounds, a pair without the value fails it. */
function rangeOf(fields, name, values) {
  const [low, high] = [fields[`${name}_low`].value, fields[`${name}_high`].value];
  if (low === "" && high === "") return () => true;
  const value = values[fields[name].value]?.[1] ?? (() => null);
  const least = low === "" ? -Infinity : Number(low);
  const most = high === "" ? Infinity : Number(high);
  return (pair) => value(pair) !== null && value(pair) >= least && value(pair) <= most;
}

/** Sorts by a value; pairs without a value come last in both directions. */
function sortPairs(pairs, value, direction) {
  return pairs.toSorted((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (a - b) || left.place - right.place;
  });
}

const lengths = (pair) =>
  `${number.format(pair.chosen_length)} over ${number.format(pair.rejected_length)} characters`;

/** Returns what the list shows of a pair. */
function pairEntry(about, pair, raw) {
  const deltas = about.dimensions.map((dimension, at) =>
    node(
      "span",
      { class: "delta" },
      node("span", { class: "name" }, humanize(dimension)),
      " ",
      node("span", { class: "value" }, signed(pair.deltas[at])),
    ),
  );
  return [
    node("span", { class: "rank" }, pair.rank === null ? "no rank" : `#${pair.rank}`),
    node("span", { class: "statement" }, renderText(beginning(pair.problem.statement, 240), raw)),
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
  ];
}
