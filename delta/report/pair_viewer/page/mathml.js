"use strict";
// Elements of MathML, as the reader of formulas needs them.

const MATHML = "http://www.w3.org/1998/Math/MathML";

function maths(name, attributes = {}, ...children) {
  const made = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const operator = (character, attributes = {}) => maths("mo", attributes, character);
const fence = (character) => operator(character, { stretchy: "true" });
// Which side of its content a bare bar stands on is not known.
const bar = (character) => operator(character, { stretchy: "false", lspace: "0", rspace: "0" });
const limit = (name) =>
  operator(name, { movablelimits: "true", lspace: "0", rspace: "0.167em" });
const together = (items) => (items.length === 1 ? items[0] : maths("mrow", {}, ...items));
const isEmpty = (element) => element.localName === "mrow" && !element.hasChildNodes();

/** White space at the ends of words counts in TeX, and not in MathML. */
const words = (text) => text.replace(/~/g, " ").replace(/^\s+|\s+$/g, "\u00a0");

/** The base with what stands below and above it, or beside it. */
function withScripts(name, base, below, above) {
  if (!below && !above) return base;
  const around =
    Object.hasOwn(SUMS, name) || LIMITS.has(name) || name === "\\underbrace" || name === "\\overbrace";
  const scripts = [below, above].filter((script) => script !== null);
  const tags = around ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
  const tag = below && above ? tags[2] : tags[below ? 0 : 1];
  return maths(tag, {}, base ?? maths("mrow"), ...scripts);
}

function grid(rows, kind) {
  const lines = rows.map((cells) =>
    maths("mtr", {}, ...cells.map((cell) => maths("mtd", {}, cell))),
  );
  return maths("mtable", kind ? { class: kind } : {}, ...lines);
}

/** A letter or digit in an alphabet of ALPHABETS; itself where it has none there. */
function inAlphabet(letter, [capitals, small, digits, elsewhere]) {
  const special = elsewhere.indexOf(letter);
  if (special >= 0) return [...elsewhere][[...elsewhere].indexOf(letter) + 1];
  if (/[A-Z]/.test(letter)) return String.fromCodePoint(capitals + letter.charCodeAt(0) - 65);
  if (/[a-z]/.test(letter)) return String.fromCodePoint(small + letter.charCodeAt(0) - 97);
  return digits === null ? letter : String.fromCodePoint(digits + Number(letter));
}
