"use strict";
// Builders of MathML elements for the TeX reader.

const MATHML = "http://www.w3.org/1998/Math/MathML";

function maths(name, attributes = {}, ...children) {
  const element = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const operator = (character, attributes = {}) => maths("mo", attributes, character);
const fence = (character) => operator(character, { stretchy: "true" });
// A bare bar may open or close: it gets no space on either side.
const bar = (character) => operator(character, { stretchy: "false", lspace: "0", rspace: "0" });
const limit = (name) =>
  operator(name, { movablelimits: "true", lspace: "0", rspace: "0.167em" });
const fraction = (above, below) => maths("mfrac", {}, above, below);
const binomial = (above, below) =>
  maths("mrow", {}, fence("("), maths("mfrac", { linethickness: "0" }, above, below), fence(")"));
const asRow = (items) => (items.length === 1 ? items[0] : maths("mrow", {}, ...items));
const isEmpty = (element) => element.localName === "mrow" && !element.hasChildNodes();

/** Keeps white space at the ends of a text: it counts in TeX, but not in MathML. */
const words = (text) => text.replace(/~/g, " ").replace(/^\s+|\s+$/g, "\u00a0");

/** Returns the base with its scripts: below and above it, or beside it. */
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

/** Returns a letter or digit in an alphabet of ALPHABETS, or itself if it is not there. */
function inAlphabet(letter, [capitals, small, digits, elsewhere]) {
  const special = elsewhere.indexOf(letter);
  if (special >= 0) return [...elsewhere][[...elsewhere].indexOf(letter) + 1];
  if (/[A-Z]/.test(letter)) return String.fromCodePoint(capitals + letter.charCodeAt(0) - 65);
  if (/[a-z]/.test(letter)) return String.fromCodePoint(small + letter.charCodeAt(0) - 97);
  return digits === null ? letter : String.fromCodePoint(digits + Number(letter));
}
