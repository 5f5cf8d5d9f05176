"use strict";
// What the pages of pairs and of answers share: a text with its verdict, and a problem.

const number = new Intl.NumberFormat("en");
const humanize = (name) => name.replaceAll("_", " ");
const PARTS = { marker: "part marker", reasoning: "part reasoning", answer: "part" };
const FINISH_REASONS = {
  stop: "ended by itself",
  length: "cut at the token limit",
  refused: "the server refused to answer",
  failed: "no reply came",
};

// Reasons of verdicts whose own words say too little.
const REASONS = {
  cut: "it was cut before its answer",
  different: "its answer differs",
  no_box: "it has no box",
};

const wholeText = ({ parts }) => parts.map(([, content]) => content).join("");

function verdictMark(outcome) {
  return node("span", { class: `outcome ${outcome}` }, humanize(outcome));
}

/** Returns an answer that may be missing; TeX without dollars is drawn if possible. */
function answerNode(answer, raw) {
  if (answer === null || answer === "") return node("em", {}, "none");
  const bare = !raw && /[\\^_{]/.test(answer) && !answer.includes("$") && !answer.match(HIDDEN);
  const element = bare ? formula(answer, false) : null;
  return node("span", { class: "answer" }, element ?? renderText(answer, raw));
}

/** Returns a turn of a conversation under its role. */
function conversationTurn(role, content, raw) {
  return node(
    "div",
    { class: "turn" },
    node("h3", {}, visibleText(role)),
    node("div", { class: "text" }, renderText(content, raw)),
  );
}

/** Returns a section with a problem or question and its reference answer. */
function problemSection(title, history, statement, gold, raw) {
  return node(
    "section",
    { "aria-label": title },
    node("h2", {}, title),
    ...history.map(({ role, content }) => conversationTurn(role, content, raw)),
    history.length
      ? conversationTurn("user", statement, raw)
      : node("div", { class: "text" }, renderText(statement, raw)),
    node("p", { class: "gold" }, "Reference answer: ", answerNode(gold, raw)),
  );
}

/** Returns a trace's text, divided into its parts, with the steps that the judge named. */
function traceText(trace, parting, raw) {
  const marks = (trace.named ?? []).map(([start, end], at) => ({ start, end, number: at + 1 }));
  const length = wholeText(trace).length;
  let begin = 0;
  const parts = trace.parts.map(([kind, content]) => {
    const from = begin;
    begin += content.length;
    const own = marks
      .filter((mark) => mark.start < begin && mark.end > from)
      .map((mark) => ({ ...mark, start: mark.start - from, end: mark.end - from }));
    const isHere = parting !== null && parting >= from && (parting < begin || parting === length);
    return node("div", { class: PARTS[kind] }, renderText(content, raw, own, isHere ? parting - from : null));
  });
  return node("div", { class: "text trace" }, parts);
}

/** Returns the list of the steps that the judge named, in the order of their numbers. */
function namedSteps(trace) {
  if (!trace.named?.length) return [];
  const items = trace.named.map(([, , dimension, note]) =>
    node("li", {}, node("span", { class: "name" }, `${humanize(dimension)}: `), visibleText(note)),
  );
  return [node("p", { class: "caption" }, "The judge named:"), node("ol", { class: "named-steps" }, items)];
}

/** Returns the verdict on a trace in words. */
function verdictLine(outcome, verdict, raw) {
  const line = [verdictMark(outcome)];
  if (verdict?.reason) line.push(" because ", visibleText(REASONS[verdict.reason] ?? humanize(verdict.reason)));
  if (verdict?.decided_by) line.push(`; decided by ${verdict.decided_by}`);
  if (verdict) line.push("; extracted answer: ", answerNode(verdict.extracted, raw));
  return node("p", { class: "verdict" }, line);
}
