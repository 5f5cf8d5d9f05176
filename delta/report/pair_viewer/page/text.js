"use strict";
// Text of models as nodes of the page: never as markup, hidden characters shown, formulas drawn.

// Controls, bidirectional marks and other characters that change a text without being seen.
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

// Where formulas may begin or end. `\\` and `\$` stand here so that they are stepped over.
const BORDER =
  /\\\\|\\\$|\\[()[\]]|\$\$?|\\(?:begin|end)\{[a-zA-Z]+\*?\}|\\boxed(?=\s*\{)|\n[ \t]*\n/g;
const CLOSERS = { "\\(": "\\)", "\\[": "\\]", $$: "$$", $: "$" };
const MAX_BOX = 2000; // characters looked through for the end of a box outside formulas

/** An element of the page with attributes and children; strings become text. */
function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat());
  return made;
}

/** The text as strings and, for each hidden character, an element that names it. */
function visible(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    parts.push(text.slice(from, match.index));
    parts.push(node("span", { class: "hidden-character" }, `U+${code}`));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

/**
 * The text in pieces {source, tex, display}; tex is null where the piece is no formula.
 * One pass: a formula that is never closed is text, and what opens anew takes its place.
 */
function pieces(text) {
  const found = [];
  let from = 0;
  let open = null;
  const emit = (start, end, tex, display) => {
    if (start > from) found.push({ source: text.slice(from, start), tex: null, display: false });
    found.push({ source: text.slice(start, end), tex, display });
    from = end;
    open = null;
  };
  BORDER.lastIndex = 0;
  for (let match = BORDER.exec(text); match; match = BORDER.exec(text)) {
    const [mark] = match;
    const after = match.index + mark.length;
    if (open && closes(text, match.index, mark, open)) {
      if (open.nested-- > 0) continue;
      const isEnvironment = open.closer.startsWith("\\end");
      const tex = isEnvironment ? text.slice(open.start, after) : text.slice(open.inner, match.index);
      emit(open.start, after, tex, open.display);
    } else if (mark.startsWith("\n")) {
      if (open && open.closer !== "\\]" && !open.closer.startsWith("\\end")) open = null;
    } else if (!open && mark === "\\boxed") {
      const end = boxEnd(text, after);
      if (end) emit(match.index, end, text.slice(match.index, end), false);
      BORDER.lastIndex = end || after;
    } else {
      open = opened(text, match.index, mark, open);
    }
  }
  if (from < text.length) found.push({ source: text.slice(from), tex: null, display: false });
  return found;
}

function closes(text, index, mark, open) {
  if (mark !== open.closer) return false;
  // "$5 and $6" is no formula: what closes one follows no space and stands before no digit.
  return mark !== "$" || (/\S/.test(text[index - 1]) && !/\d/.test(text[index + 1] ?? ""));
}

/** What is open after a mark that closes nothing. */
function opened(text, index, mark, open) {
  const inner = index + mark.length;
  if (mark.startsWith("\\begin")) {
    const name = mark.slice(7, -1);
    if (open) {
      if (open.closer === `\\end{${name}}`) open.nested += 1;
      return open;
    }
    if (!Object.hasOwn(ENVIRONMENTS, name)) return null;
    return { closer: `\\end{${name}}`, start: index, inner, display: true, nested: 0 };
  }
  const closer = CLOSERS[mark];
  // Inside \( \), \[ \] and environments a dollar belongs to the formula.
  const yields = !open || mark.startsWith("\\") || open.closer.startsWith("$");
  if (!closer || !yields || (open && open.closer.startsWith("\\end"))) return open;
  if (mark === "$" && !/\S/.test(text[inner] ?? " ")) return open;
  return { closer, start: index, inner, display: mark === "\\[" || mark === "$$", nested: 0 };
}

/** The index behind the box whose braces begin at or after `from`; 0 where it does not end. */
function boxEnd(text, from) {
  const limit = Math.min(text.length, from + MAX_BOX);
  let depth = 0;
  for (let at = from; at < limit; at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "{") depth += 1;
    else if (text[at] === "}" && --depth === 0) return at + 1;
  }
  return 0;
}

/** The text with its formulas drawn; a formula that is not understood stands as its source. */
function rendered(text) {
  let afterBlock = false;
  return pieces(text).flatMap(({ source, tex, display }) => {
    // A formula on lines of its own ends its line itself.
    const shown = afterBlock ? source.replace(/^[ \t]*\n/, "") : source;
    afterBlock = display;
    if (tex === null) return visible(shown);
    const drawn = source.match(HIDDEN) ? null : formula(tex, display);
    return drawn ?? node("span", { class: "source" }, visible(source));
  });
}

/** The first characters of a text: whole formulas, then an ellipsis. */
function beginning(text, length) {
  let short = "";
  for (const { source, tex } of pieces(text.slice(0, 4 * length))) {
    if (short.length + source.length > length) {
      return short + (tex === null ? source.slice(0, length - short.length) : "") + "…";
    }
    short += source;
  }
  return short.length < text.length ? short + "…" : short;
}
