"use strict";
// Text with formulas drawn, and with marks on it: steps that a judge named, and where two texts part.

/**
 * Returns the text as nodes. With `raw`, formulas stay source; an unsupported one does so anyway.
 * Marks have {start, end, number}: characters from `start` to `end` are the judge's step `number`.
 * At `parting` the text begins to differ from another one; null if it does not.
 */
function renderText(text, raw = false, marks = [], parting = null) {
  let afterBlock = false;
  let at = 0;
  const list = raw ? [{ source: text, tex: null, display: false }] : pieces(text);
  const nodes = list.flatMap(({ source, tex, display }) => {
    const start = at;
    at += source.length;
    // A formula in display style already ends its line.
    const dropped = afterBlock ? /^(?:[ \t]*\n)?/.exec(source)[0].length : 0;
    afterBlock = display;
    const element = tex === null || source.match(HIDDEN) ? null : formula(tex, display);
    if (element) return markedElement(element, start, at, marks, parting);
    const first = start + dropped;
    const isDropped = parting !== null && parting >= start && parting < first;
    const parts = markedText(source.slice(dropped), first, marks, isDropped ? first : parting);
    return tex === null ? parts : node("span", { class: "source" }, parts);
  });
  return parting === text.length ? [...nodes, partingMark()] : nodes;
}

/** Returns the part of a text that begins at `start`, divided where marks begin and end. */
function markedText(part, start, marks, parting) {
  const end = start + part.length;
  const isInside = (place) => place !== null && place > start && place < end;
  const borders = [...marks.flatMap((mark) => [mark.start, mark.end]), parting].filter(isInside);
  const places = [...new Set([start, ...borders, end])].sort((left, right) => left - right);
  return places.slice(0, -1).flatMap((from, number) => {
    const to = places[number + 1];
    const content = visibleText(part.slice(from - start, to - start));
    const nodes = withMarks(content, marks.filter((mark) => mark.start < to && mark.end > from), to);
    return from === parting ? [partingMark(), ...nodes] : nodes;
  });
}

/** Returns a formula, marked as a whole where a mark touches it. */
function markedElement(element, start, end, marks, parting) {
  const touching = marks.filter((mark) => mark.start < end && mark.end > start);
  const nodes = withMarks([element], touching, end);
  return parting !== null && parting >= start && parting < end ? [partingMark(), ...nodes] : nodes;
}

/** Returns the nodes inside an element if they are marked; it ends at `end`. */
function withMarks(nodes, marks, end) {
  if (!marks.length) return nodes;
  const ending = marks.filter((mark) => mark.end <= end).map((mark) => mark.number);
  // The number is drawn by the style sheet, so that the text of the trace stays what it is.
  return [node("mark", { class: "named", "data-number": ending.join(", ") || null }, nodes)];
}

function partingMark() {
  return node("span", { class: "parting", role: "note", "aria-label": "the two texts part here" });
}

/** Returns where two texts begin to differ: the start of the first word that differs. */
function partingOf(left, right) {
  const limit = Math.min(left.length, right.length);
  let at = 0;
  while (at < limit && left[at] === right[at]) at += 1;
  if (at === left.length && at === right.length) return null;
  const isWord = (text, place) => /[\p{L}\p{N}\ud800-\udfff]/u.test(text[place] ?? "");
  if (!isWord(left, at) && !isWord(right, at)) return at;
  const furthest = Math.max(0, at - 40); // a longer word is divided
  while (at > furthest && isWord(left, at - 1)) at -= 1;
  return /[\udc00-\udfff]/.test(left[at] ?? "") ? at - 1 : at; // not inside of a character
}

/** Returns in words where two texts part. */
function partingLine(left, right, parting, [first, second]) {
  if (parting === null) return `${first} and ${second} are the same text.`;
  if (parting === 0) return `${first} and ${second} differ from the first word.`;
  const same = `The first ${number.format(parting)} characters of ${first.toLowerCase()} and ${second} are the same`;
  const line = left.slice(0, parting).split("\n").length;
  if (parting === left.length) return `${same}; there ${first.toLowerCase()} ends.`;
  if (parting === right.length) return `${same}; there ${second} ends.`;
  return `${same}; they part in line ${number.format(line)}, at the mark.`;
}
