"use strict";
// The view of a pair: problem, deltas, ratings of both traces, and the traces side by side.

const PARTS = { marker: "part marker", reasoning: "part reasoning", answer: "part" };
const FINISH_REASONS = {
  stop: "ended by itself",
  length: "cut at the token limit",
  refused: "the server refused to answer",
  failed: "no reply came",
};

const text = (content, raw) => (raw ? visibleText(content) : renderText(content));

/** Returns the view of a pair; `sides` are its two traces. */
function pairView(about, pair, sides, raw) {
  return [
    node("h1", { tabindex: "-1" }, pair.rank === null ? "Pair without a rank" : `Pair of rank ${pair.rank}`),
    facts(about, pair),
    node(
      "section",
      { "aria-label": "Problem" },
      node("h2", {}, "Problem"),
      ...pair.problem.history.map(({ role, content }) => conversationTurn(role, content, raw)),
      pair.problem.history.length
        ? conversationTurn("user", pair.problem.statement, raw)
        : node("div", { class: "text" }, text(pair.problem.statement, raw)),
      node("p", { class: "gold" }, "Reference answer: ", answerNode(pair.problem.gold_answer, raw)),
    ),
    node(
      "section",
      { "aria-label": "Ratings" },
      node("h2", {}, "Ratings"),
      ...ratings(about, pair, sides),
    ),
    node(
      "div",
      { class: "sides" },
      side("Chosen", about.chosen, pair.chosen_outcome, sides[0], raw),
      side("Rejected", about.rejected, pair.rejected_outcome, sides[1], raw),
    ),
  ];
}

/** Returns a turn of a conversation under its role. */
function conversationTurn(role, content, raw) {
  return node(
    "div",
    { class: "turn" },
    node("h3", {}, visibleText(role)),
    node("div", { class: "text" }, text(content, raw)),
  );
}

function facts(about, pair) {
  const rows = [
    ["pair", visibleText(pair.pair_id)],
    ["source", visibleText(pair.problem.source)],
    ["selection", visibleText(pair.why)],
    [`score (${about.by})`, signed(pair.score)],
    ["lengths", lengths(pair)],
  ];
  return node(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => node("div", {}, node("dt", {}, name), node("dd", {}, value))),
  );
}

/** Returns an answer that may be missing; TeX without dollars is drawn if possible. */
function answerNode(answer, raw) {
  if (answer === null || answer === "") return node("em", {}, "none");
  const bare = !raw && /[\\^_{]/.test(answer) && !answer.includes("$") && !answer.match(HIDDEN);
  const element = bare ? formula(answer, false) : null;
  return node("span", { class: "answer" }, element ?? text(answer, raw));
}

/** Returns the ratings by dimension: delta, then votes, justification and deductions per side. */
function ratings(about, pair, sides) {
  if (!about.dimensions.length) return [node("p", {}, "No dimension was rated.")];
  const heads = ["dimension", "delta", "chosen", "rejected"];
  const rows = about.dimensions.map((dimension, at) =>
    node(
      "tr",
      {},
      node("th", { scope: "row" }, humanize(dimension)),
      node("td", { class: "delta", "data-label": "delta" }, signed(pair.deltas[at])),
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
  return [node("table", { class: "ratings" }, node("thead", {}, head), node("tbody", {}, rows))];
}

function ratingParts(rating) {
  if (!rating) return node("em", {}, "not rated");
  const { votes, refused } = rating;
  const mean = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  const summary = votes.length
    ? [node("strong", {}, mean.toFixed(1)), ` from ${votes.join(", ")}`]
    : [node("em", {}, "no vote")];
  const parts = [node("p", { class: "votes" }, summary, refused ? `; ${refused} refused` : "")];
  if (rating.justification) parts.push(node("p", {}, visibleText(rating.justification)));
  if (rating.deductions.length) {
    parts.push(node("ul", {}, rating.deductions.map((trigger) => node("li", {}, visibleText(trigger)))));
  }
  return parts;
}

function side(name, generator, outcome, trace, raw) {
  const { verdict } = trace;
  const verdictLine = [verdictMark(outcome)];
  if (verdict?.reason) verdictLine.push(" because ", visibleText(verdict.reason));
  if (verdict) verdictLine.push(`; decided by ${verdict.decided_by}; extracted answer: `);
  if (verdict) verdictLine.push(answerNode(verdict.extracted, raw));
  const tokens = trace.completion_tokens === null ? "" : `${number.format(trace.completion_tokens)} tokens, `;
  return node(
    "section",
    { class: "side", "aria-label": `${name} trace` },
    node("h2", {}, `${name}: `, visibleText(generator)),
    node("p", { class: "verdict" }, verdictLine),
    node("p", { class: "ending" }, tokens, FINISH_REASONS[trace.finish_reason]),
    node(
      "div",
      { class: "text trace" },
      trace.parts.map(([kind, content]) => node("div", { class: PARTS[kind] }, text(content, raw))),
    ),
  );
}
