"use strict";
// One pair: problem, deltas, both ratings of every dimension, both traces side by side.

const PARTS = { marker: "part marker", reasoning: "part reasoning", answer: "part" };
const ENDS = {
  stop: "ended by itself",
  length: "cut at the limit of tokens",
  refused: "the server gave no text",
};

const text = (content, raw) => (raw ? visible(content) : rendered(content));

/** The whole view of a pair; `sides` are its two traces. */
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
      node("p", { class: "gold" }, "Reference answer: ", known(pair.problem.gold_answer, raw)),
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

/** One turn of a conversation, under its role. */
function conversationTurn(role, content, raw) {
  return node(
    "div",
    { class: "turn" },
    node("h3", {}, visible(role)),
    node("div", { class: "text" }, text(content, raw)),
  );
}

function facts(about, pair) {
  const rows = [
    ["pair", visible(pair.pair_id)],
    ["source", visible(pair.problem.source)],
    ["in or out", visible(pair.why)],
    [`score (${about.by})`, signed(pair.score)],
    ["lengths", lengths(pair)],
  ];
  return node(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => node("div", {}, node("dt", {}, name), node("dd", {}, value))),
  );
}

/** A formula or words that may be missing; bare TeX is tried as one. */
function known(answer, raw) {
  if (answer === null || answer === "") return node("em", {}, "none");
  const bare = !raw && /[\\^_{]/.test(answer) && !answer.includes("$") && !answer.match(HIDDEN);
  const drawn = bare ? formula(answer, false) : null;
  return node("span", { class: "answer" }, drawn ?? text(answer, raw));
}

/** A table of dimensions: delta, then votes, justification and deductions of either side. */
function ratings(about, pair, sides) {
  if (!about.dimensions.length) return [node("p", {}, "No dimension was rated.")];
  const heads = ["dimension", "delta", "chosen", "rejected"];
  const rows = about.dimensions.map((dimension, at) =>
    node(
      "tr",
      {},
      node("th", { scope: "row" }, spoken(dimension)),
      node("td", { class: "delta", "data-label": "delta" }, signed(pair.deltas[at])),
      ...sides.map((trace, which) =>
        node(
          "td",
          { "data-label": heads[2 + which] },
          rating(trace.ratings.find((one) => one.dimension === dimension)),
        ),
      ),
    ),
  );
  const head = node("tr", {}, heads.map((name) => node("th", { scope: "col" }, name)));
  return [node("table", { class: "ratings" }, node("thead", {}, head), node("tbody", {}, rows))];
}

function rating(one) {
  if (!one) return node("em", {}, "not rated");
  const { votes, refused } = one;
  const mean = votes.reduce((sum, vote) => sum + vote, 0) / votes.length;
  const given = votes.length
    ? [node("strong", {}, mean.toFixed(1)), ` from ${votes.join(", ")}`]
    : [node("em", {}, "no vote")];
  const parts = [node("p", { class: "votes" }, given, refused ? `; ${refused} refused` : "")];
  if (one.justification) parts.push(node("p", {}, visible(one.justification)));
  if (one.deductions.length) {
    parts.push(node("ul", {}, one.deductions.map((trigger) => node("li", {}, visible(trigger)))));
  }
  return parts;
}

function side(name, generator, outcome, trace, raw) {
  const { verdict } = trace;
  const said = [verdictMark(outcome)];
  if (verdict?.reason) said.push(" because ", visible(verdict.reason));
  if (verdict) said.push(`; decided by ${verdict.decided_by}; extracted answer: `);
  if (verdict) said.push(known(verdict.extracted, raw));
  const tokens = trace.completion_tokens === null ? "" : `${number.format(trace.completion_tokens)} tokens, `;
  return node(
    "section",
    { class: "side", "aria-label": `${name} trace` },
    node("h2", {}, `${name}: `, visible(generator)),
    node("p", { class: "verdict" }, said),
    node("p", { class: "ending" }, tokens, ENDS[trace.finish_reason]),
    node(
      "div",
      { class: "text trace" },
      trace.parts.map(([kind, content]) => node("div", { class: PARTS[kind] }, text(content, raw))),
    ),
  );
}
