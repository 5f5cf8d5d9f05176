"use strict";
// Text of models as nodes of the page: never markup, hidden characters visible, formulas drawn.

// Controls, bidirectional marks and other invisible characters that change a text.
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

// Where formulas may begin or end. `\\` and `\$` are matched so that they are skipped.
const BORDER =
  /\\\\|\\\$|\\[()[\]]|\$\$?|\\(?:begin|end)\{[a-zA-Z]+\*?\}|\\boxed(?=\s*\{)|\n[ \t]*\n/g;
const CLOSERS = { "\\(": "\\)", "\\[": "\\]", $$: "$$", $: "$" };
const MAX_BOX = 2000; // characters in which a box outside formulas must end

/** Returns an element with attributes and children; strings become text. */
function node(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat());
  return element;
}

/** Returns the text as strings and, for each hidden character, an element that names it. */
function visibleText(text) {
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
 * Splits the text into pieces {source, tex, display}; tex is null for text.
 * One pass: a formula that is never closed is text, and the next opening mark replaces it.
 */
function pieces(text) {
  const list = [];
  let from = 0;
  let open = null;
  const emit = (start, end, tex, display) => {
    if (start > from) list.push({ source: text.slice(from, start), tex: null, display: false });
    list.push({ source: text.slice(start, end), tex, display });
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
    } else if (mark === "\\boxed" && (!open || isPrice(text, open, match.index))) {
      const end = boxEnd(text, after);
      if (end) emit(match.index, end, text.slice(match.index, end), false);
      BORDER.lastIndex = end || after;
    } else {
      open = openFormula(text, match.index, mark, open);
    }
  }
  if (from < text.length) list.push({ source: text.slice(from), tex: null, display: false });
  return list;
}

/** Returns whether a dollar that is still open has no formula after it: "$5 each.\nSo \boxed{10}". */
function isPrice(text, open, index) {
  if (open.closer !== "$") return false;
  open.newline ??= text.indexOf("\n", open.inner); // searched once, however many boxes follow
  return open.newline >= 0 && open.newline < index;
}

function closes(text, index, mark, open) {
  if (mark !== open.closer) return false;
  // "$5 and $6" is no formula: a closing dollar follows no space and precedes no digit.
  return mark !== "$" || (/\S/.test(text[index - 1]) && !/\d/.test(text[index + 1] ?? ""));
}

/** Returns the open formula after a mark that closes none. */
function openFormula(text, index, mark, open) {
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

/** Returns the index after the box whose braces begin at or after `from`; 0 if it never ends. */
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

/** Returns the first characters of a text: whole formulas, then an ellipsis. */
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
