"use strict";
// The view of a pair: the problem, the two traces side by side, then the ratings of both.

/** Returns the view of a pair; `sides` are its two traces. */
function pairView(about, pair, sides, raw) {
  const texts = sides.map(wholeText);
  const parting = partingOf(...texts);
  const { history, statement, gold_answer } = pair.problem;
  return [
    node("h1", { tabindex: "-1" }, pair.rank === null ? "Pair without a rank" : `Pair of rank ${pair.rank}`),
    node("p", { class: pair.selected ? "caption" : "caption why" }, visibleText(pair.why)),
    problemSection("Problem", history, statement, gold_answer, raw),
    node("p", { class: "caption" }, partingLine(...texts, parting, ["The chosen trace", "the rejected one"])),
    node(
      "div",
      { class: "sides" },
      pairSide("Chosen", about.chosen, pair.chosen_outcome, sides[0], parting, raw),
      pairSide("Rejected", about.rejected, pair.rejected_outcome, sides[1], parting, raw),
    ),
    node("section", { "aria-label": "Ratings" }, node("h2", {}, "Ratings"), ...ratings(about, pair, sides)),
    pairFacts(about, pair),
  ];
}

function pairSide(name, generator, outcome, trace, parting, raw) {
  const tokens = trace.completion_tokens === null ? "" : `${number.format(trace.completion_tokens)} tokens, `;
  return node(
    "section",
    { class: "side", "aria-label": `${name} trace` },
    node("h2", {}, `${name}: `, visibleText(generator)),
    verdictLine(outcome, trace.verdict, raw),
    node("p", { class: "ending" }, tokens, FINISH_REASONS[trace.finish_reason]),
    // A mark at the first character would say no more than the line above both traces.
    traceText(trace, parting || null, raw),
    ...namedSteps(trace),
  );
}

/** Returns the ratings: dimensions in which the traces differ, and the others folded. */
function ratings(about, pair, sides) {
  if (!about.dimensions.length) return [node("p", {}, "No dimension was rated.")];
  const differing = about.dimensions.filter((_, at) => pair.deltas[at]);
  const folded = about.dimensions.filter((_, at) => !pair.deltas[at]);
  const table = (dimensions) => ratingTable(about, pair, sides, dimensions);
  const parts = differing.length ? [table(differing)] : [];
  if (folded.length) {
    const names = folded.map((dimension) => humanize(dimension)).join(", ");
    parts.push(node("details", {}, node("summary", {}, `Without a delta: ${names}`), table(folded)));
  }
  return parts;
}

/** Returns a row for each dimension: delta, then votes, justification and deductions per side. */
function ratingTable(about, pair, sides, dimensions) {
  const heads = ["dimension", "delta", "chosen", "rejected"];
  const tableRows = dimensions.map((dimension) =>
    node(
      "tr",
      {},
      node("th", { scope: "row" }, humanize(dimension)),
      node("td", { class: "delta", "data-label": "delta" }, signed(pair.deltas[about.dimensions.indexOf(dimension)])),
      ...sides.map((trace, which) =>
        node(
          "td",
          { "data-label": heads[2 + which] },
          ratingParts(trace.ratings.find((rating) => rating.dimension === dimension)),
        ),
      ),
    ),
  );
  const head = node("tr", {}, heads.map((name) => node("th", { scope: "col" }, name)));
  return node("table", { class: "ratings" }, node("thead", {}, head), node("tbody", {}, tableRows));
}

function ratingParts(rating) {
  if (!rating) return node("em", {}, "not rated");
  const { votes, refused } = rating;
  const mean = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  const summary = votes.length
    ? [node("strong", {}, mean.toFixed(1)), ` from ${votes.map((vote) => Number(vote.toFixed(2))).join(", ")}`]
    : [node("em", {}, "no vote")];
  const parts = [node("p", { class: "votes" }, summary, refused ? `; ${refused} refused` : "")];
  if (rating.justification) parts.push(node("p", {}, visibleText(rating.justification)));
  // The rule judge's justification already lists its deductions.
  const said = (rating.justification ?? "").toLowerCase();
  const others = rating.deductions.filter((trigger) => !said.includes(trigger.toLowerCase()));
  if (others.length) parts.push(node("ul", {}, others.map((trigger) => node("li", {}, visibleText(trigger)))));
  return parts;
}

function pairFacts(about, pair) {
  const facts = [
    ["pair", visibleText(pair.pair_id)],
    ["source", visibleText(pair.problem.source)],
    ["selection", visibleText(pair.why)],
    [`score (${humanize(about.by)})`, signed(pair.score)],
    ["lengths", lengths(pair)],
  ];
  return node(
    "dl",
    { class: "facts" },
    facts.map(([name, value]) => node("div", {}, node("dt", {}, name), node("dd", {}, value))),
  );
}
