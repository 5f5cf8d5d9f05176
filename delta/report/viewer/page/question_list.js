"use strict";
// The list of questions: its filters, the number of each kind, and its entries.

const KINDS = {
  gained: "wrong before, right after",
  lost: "right before, wrong after",
  both: "right before and after",
  neither: "wrong before and after",
};
// With several answers to each question.
const KINDS_OF_SAMPLES = {
  gained: "right more often after",
  lost: "right less often after",
  both: "right equally often",
  neither: "never right",
};
const RIGHT_ANY_FORM = "right in another form";
const SHORT_KINDS = { gained: "gained", lost: "lost", both: "both right", neither: "neither" };
const kindWords = (question) => (Math.max(...question.samples) > 1 ? KINDS_OF_SAMPLES : KINDS)[question.kind];

/** Returns a record for each question of the index. */
function questionsOf({ columns }) {
  return rows(columns).map((question) => {
    question.id = question.question_id;
    question.searchText = `${question.id}\n${question.statement}`.toLowerCase();
    return question;
  });
}

/** Fills the fields with the available choices; returns the function that applies them. */
function questionFilters(_about, questions, fields) {
  const words = questions.some(({ samples }) => Math.max(...samples) > 1) ? KINDS_OF_SAMPLES : KINDS;
  fill(fields.benchmark, distinctOptions(questions, "benchmark"));
  fill(fields.group, distinctOptions(questions, "group"));
  fill(fields.kind, Object.entries(words));
  return ({ search, benchmark, group, kind }, items) => {
    const searched = splitWords(search.value);
    const passing = items.filter(
      (question) =>
        (!benchmark.value || question.benchmark === benchmark.value) &&
        (!group.value || question.group === group.value) &&
        searched.every((word) => question.searchText.includes(word)),
    );
    showKinds(words, passing, kind);
    return passing.filter((question) => !kind.value || question.kind === kind.value);
  };
}

/** Shows how many questions are of each kind; a click lists those of one kind, another click all. */
function showKinds(words, questions, field) {
  const buttons = Object.entries(words).map(([kind, label]) => {
    const count = questions.filter((question) => question.kind === kind).length;
    const button = node(
      "button",
      { type: "button", class: `kind ${kind}`, "aria-pressed": String(field.value === kind) },
      node("strong", {}, number.format(count)),
      ` ${label}`,
    );
    button.addEventListener("click", () => {
      field.value = field.value === kind ? "" : kind;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return button;
  });
  document.getElementById("kinds").replaceChildren(...buttons);
}

/** Returns what a model answered: its answer, or how many of several answers are right. */
function shortAnswer(question, side, raw) {
  if (question.samples[side] > 1) return `${question.right[side]} of ${question.samples[side]} right`;
  const extracted = question.extracted[side];
  const isRight = question.right[side] > 0;
  return [
    node("span", { class: `outcome ${isRight ? "correct" : "incorrect"}` }, isRight ? "right" : "wrong"),
    " ",
    extracted === null ? node("em", {}, "no answer in the asked form") : answerNode(beginning(extracted, 60), raw),
    !isRight && question.right_any_form[side] > 0 ? ` (${RIGHT_ANY_FORM})` : "",
  ];
}

/** Returns what the list shows of a question. */
function questionEntry(_about, question, raw) {
  return [
    node("span", { class: `rank kind ${question.kind}` }, SHORT_KINDS[question.kind]),
    node("span", { class: "statement" }, renderText(beginning(question.statement, 240), raw)),
    node(
      "span",
      { class: "facts answers" },
      node("span", {}, "before: ", shortAnswer(question, 0, raw)),
      node("span", {}, "after: ", shortAnswer(question, 1, raw)),
      question.gold === null ? "" : node("span", {}, "reference: ", answerNode(beginning(question.gold, 60), raw)),
      node("span", { class: "lengths" }, visibleText(question.id)),
    ),
  ];
}
