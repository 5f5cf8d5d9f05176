"use strict";
// The view of a question: its prompt, and the answers before and after training side by side.

/** Returns the view of a question; `texts` has its prompt and the answers of both models. */
function questionView(about, question, texts, raw) {
  const { history, prompt, before, after } = texts;
  const firsts = [before[0], after[0]].map(wholeText);
  const parting = partingOf(...firsts);
  const names = before.length > 1 ? ["The first answer before", "the first one after"] : ["The answer before", "the one after"];
  return [
    node("h1", { tabindex: "-1" }, "Question ", visibleText(question.id)),
    node("p", {}, node("strong", { class: `kind ${question.kind}` }, kindWords(question)), ", ", visibleText(`group ${question.group}`)),
    problemSection("Question", history, prompt, question.gold, raw),
    node("p", { class: "caption" }, partingLine(...firsts, parting, names)),
    node(
      "div",
      { class: "sides" },
      answerSide("Before", about.before, before, parting, raw),
      answerSide("After", about.after, after, parting, raw),
    ),
  ];
}

/** Returns the answers of a model: the first, and the others folded until they are opened. */
function answerSide(name, model, [first, ...others], parting, raw) {
  return node(
    "section",
    { class: "side", "aria-label": `${name} training` },
    node("h2", {}, `${name}: `, visibleText(model)),
    ...answerParts(first, parting || null, raw),
    ...others.map((answer, at) => foldedAnswer(answer, at + 2, raw)),
  );
}

function answerParts(answer, parting, raw) {
  const isRightInAnotherForm = answer.flexible_outcome === "correct" && answer.verdict.outcome !== "correct";
  return [
    verdictLine(answer.verdict.outcome, answer.verdict, raw),
    ...(isRightInAnotherForm ? [node("p", { class: "verdict" }, "Its last number or letter is ", RIGHT_ANY_FORM, ".")] : []),
    node("p", { class: "ending" }, FINISH_REASONS[answer.finish_reason]),
    traceText(answer, parting, raw),
  ];
}

function foldedAnswer(answer, place, raw) {
  const summary = node("summary", {}, `Answer ${place}: `, verdictMark(answer.verdict.outcome));
  const folded = node("details", {}, summary);
  const draw = () => folded.append(...answerParts(answer, null, raw));
  folded.addEventListener("toggle", draw, { once: true }); // sixteen long answers take seconds to draw
  return folded;
}
