"use strict";
// The page of pairs.

startViewer({
  keyword: "pair",
  nouns: ["pair", "pairs"],
  itemsOf: pairsOf,
  filters: pairFilters,
  entry: pairEntry,
  entryClass: (pair) => (pair.selected ? "entry" : "entry out"),
  read: (pair) => Promise.all([record(pair.chosen_at), record(pair.rejected_at)]),
  view: pairView,
});
