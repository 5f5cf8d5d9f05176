"use strict";
// The page of answers.

startViewer({
  keyword: "question",
  nouns: ["question", "questions"],
  itemsOf: questionsOf,
  filters: questionFilters,
  entry: questionEntry,
  entryClass: () => "entry question",
  read: (question) => record(question.at),
  view: questionView,
});
