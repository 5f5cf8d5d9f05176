"use strict";
// TeX formulas as MathML. A formula with an unsupported command is not converted. Each token is
// read once and nesting is bounded, so that no text of a model can block the page.

const TOKEN = /\\[a-zA-Z]+|\\[\s\S]|\s+|\d+(?:,\d{3}(?!\d))*(?:\.\d+)?|[\s\S]/gu;
const MAX_DEPTH = 40;
const MAX_CHARACTERS = 20000;
const ROW_ENDS = ["\\\\", "\\cr", "\\newline"];

class Unsupported extends Error {}

/** Returns a <math> element, or null if the formula is not supported. */
function formula(tex, display) {
  if (tex.length > MAX_CHARACTERS || !tex.trim()) return null;
  try {
    const content = new Reader(tex).whole();
    return maths("math", display ? { display: "block" } : {}, content);
  } catch (error) {
    if (error instanceof Unsupported) return null;
    throw error;
  }
}

class Reader {
  constructor(tex) {
    this.tex = tex;
    this.tokens = [...tex.matchAll(TOKEN)]
      .filter(([text]) => text.trim() || text.startsWith("\\"))
      .map((match) => ({ text: match[0], at: match.index }));
    this.place = 0; // of the next token
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.place]?.text;
  }

  take() {
    if (this.place >= this.tokens.length) throw new Unsupported("ends too early");
    return this.tokens[this.place++].text;
  }

  /** Takes the next token if it is this one. */
  takes(token) {
    if (this.next !== token) return false;
    this.place += 1;
    return true;
  }

  expect(token) {
    if (!this.takes(token)) throw new Unsupported(`no ${token}`);
  }

  whole() {
    const rows = this.rows([]);
    if (this.next !== undefined) throw new Unsupported(this.next);
    // Lines without an environment around them: many models write these.
    return rows.length === 1 && rows[0].length === 1 ? rows[0][0] : grid(rows, "aligned");
  }

  /** Reads rows of cells, divided by \\ and &, up to one of the ends. */
  rows(ends) {
    const rows = [[]];
    for (;;) {
      rows.at(-1).push(this.row(["&", ...ROW_ENDS, ...ends]));
      if (this.takes("&")) continue;
      if (!ROW_ENDS.includes(this.next)) break;
      this.place += 1;
      if (this.next === "[") this.skipSpace();
      rows.push([]);
    }
    const last = rows.at(-1);
    if (rows.length > 1 && last.length === 1 && isEmpty(last[0])) rows.pop();
    return rows;
  }

  row(ends) {
    if (++this.depth > MAX_DEPTH) throw new Unsupported("nested too deeply");
    let content = this.sequence(ends);
    if (INFIX.has(this.next)) {
      const name = this.take();
      content = name === "\\over" ? fraction(content, this.sequence(ends)) : binomial(content, this.sequence(ends));
    }
    this.depth -= 1;
    return content;
  }

  /** Reads atoms up to one of the ends or an infix command. */
  sequence(ends) {
    const items = [];
    while (this.next !== undefined && !ends.includes(this.next) && !INFIX.has(this.next)) {
      items.push(...this.scripted());
    }
    return asRow(items);
  }

  group() {
    this.expect("{");
    const content = this.row(["}"]);
    this.expect("}");
    return content;
  }

  /** Reads the argument of a command or script: a group, one token, or one digit of a number. */
  argument() {
    const token = this.tokens[this.place];
    if (token === undefined || "^_&}".includes(token.text)) throw new Unsupported("no argument");
    if (token.text === "{") return this.group();
    if (/^\d./.test(token.text)) {
      this.tokens[this.place] = { text: token.text.slice(1), at: token.at + 1 };
      return maths("mn", {}, token.text[0]);
    }
    return this.atom() ?? maths("mrow");
  }

  /** Returns the source between braces. */
  raw() {
    this.expect("{");
    const start = this.place;
    for (let depth = 1; ; this.place++) {
      if (this.next === undefined) throw new Unsupported("no }");
      if (this.next === "{") depth += 1;
      if (this.next === "}" && --depth === 0) break;
    }
    const from = this.tokens[start - 1].at + 1;
    return this.tex.slice(from, this.tokens[this.place++].at);
  }

  /** Skips extra space after a line, like [2pt]; any other bracket belongs to the next line. */
  skipSpace() {
    const begin = this.place;
    const from = this.tokens[begin].at + 1;
    while (this.next !== undefined && this.next !== "]" && this.place < begin + 12) this.place += 1;
    const isSpace =
      this.next === "]" && /^\s*-?[\d.]+\s*[a-z]{2}\s*$/.test(this.tex.slice(from, this.tokens[this.place].at));
    this.place = isSpace ? this.place + 1 : begin;
  }

  /** Reads an atom with its scripts, and adds the space after a function's name. */
  scripted() {
    const name = this.next;
    const base = this.atom();
    let below = null;
    let above = null;
    let primes = "";
    for (;;) {
      if (this.takes("'")) primes += "′";
      else if (this.next === "^" && !above) above = (this.take(), this.argument());
      else if (this.next === "_" && !below) below = (this.take(), this.argument());
      else if (this.next === "\\limits" || this.next === "\\nolimits") this.take();
      else break;
    }
    if (this.next === "^" || this.next === "_") throw new Unsupported("two scripts");
    if (primes) above = asRow([operator(primes), ...(above ? [above] : [])]);
    const scripted = withScripts(name, base, below, above);
    if (!scripted) return [];
    const spaced = FUNCTIONS.has(name) && this.next && !/^(?:[([{}^_&,)\]]|\\left|\\\\)$/.test(this.next);
    return spaced ? [scripted, maths("mspace", { width: "0.167em" })] : [scripted];
  }

  /** Reads one element; null for what draws nothing. */
  atom() {
    if (["^", "_", "'"].includes(this.next)) return maths("mrow");
    if (this.next === "{") return this.group();
    const token = this.take();
    if (SPACES[token]) return maths("mspace", { width: SPACES[token] });
    if (token.startsWith("\\") && token.length > 1) return this.command(token);
    if (/^\d/.test(token)) return maths("mn", {}, token);
    if (/^\p{L}/u.test(token)) return maths("mi", {}, token);
    if ("}&\\".includes(token)) throw new Unsupported(token);
    if ("()[]".includes(token)) return operator(token, { stretchy: "false" });
    if (token === "|") return bar(token);
    return operator({ "-": "−", "*": "∗" }[token] ?? token);
  }

  command(name) {
    const isIn = (entries) => Object.hasOwn(entries, name);
    if (isIn(LETTERS)) return maths("mi", {}, LETTERS[name]);
    if (isIn(OPERATORS)) return operator(OPERATORS[name]);
    if (isIn(SUMS)) return operator(SUMS[name]);
    if (isIn(INTEGRALS)) return operator(INTEGRALS[name]);
    if (FUNCTIONS.has(name)) return maths("mi", {}, name.slice(1));
    if (LIMITS.has(name)) return limit(name.slice(1));
    if (["\\|", "\\vert", "\\Vert"].includes(name)) return bar(FENCES[name]);
    if (isIn(FENCES)) return operator(FENCES[name], { stretchy: "false" });
    if (SILENT.has(name)) return null;
    if (DROPPED.has(name)) return this.dropped(name);
    if (isIn(ACCENTS)) return this.accent("mover", name, ACCENTS[name]);
    if (isIn(UNDER_ACCENTS)) return this.accent("munder", name, UNDER_ACCENTS[name]);
    if (isIn(RULES)) return maths("mrow", { class: RULES[name] }, this.argument());
    if (FRACTIONS.has(name)) return this.styledFraction(name);
    if (BINOMIALS.has(name)) return binomial(this.argument(), this.argument());
    if (WORDS.has(name)) return maths("mtext", {}, words(this.raw()));
    if (UPRIGHT.has(name)) return this.upright();
    if (isIn(ALPHABETS)) return this.lettered(ALPHABETS[name]);
    if (BIG.test(name)) return operator(this.delimiter(), { stretchy: "true", minsize: "1.4em" });
    return this.construct(name);
  }

  construct(name) {
    switch (name) {
      case "\\sqrt":
        return this.root();
      case "\\left":
        return this.fenced();
      case "\\begin":
        return this.environment();
      case "\\overset":
      case "\\stackrel":
        return this.over();
      case "\\underset":
        return this.under();
      case "\\xrightarrow":
      case "\\xleftarrow":
        return maths("mover", {}, fence(name === "\\xrightarrow" ? "→" : "←"), this.argument());
      case "\\cancelto":
        return this.cancelTo();
      case "\\substack":
        return this.stacked();
      case "\\not":
        return this.negated();
      case "\\textcolor":
        return (this.raw(), this.argument());
      case "\\tag":
        return maths("mtext", {}, ` (${words(this.raw())})`);
      case "\\bmod":
        return operator("mod", { lspace: "0.25em", rspace: "0.25em" });
      case "\\mod":
      case "\\pmod":
        return this.modulo(name === "\\pmod");
      default:
        throw new Unsupported(name);
    }
  }

  dropped(name) {
    const width = /^\\h?phantom$|^\\hspace$/.test(name) ? "1em" : "0";
    this.takes("*");
    if (this.next === "{") this.raw();
    return width === "0" ? null : maths("mspace", { width });
  }

  accent(tag, name, mark) {
    const attributes = { stretchy: String(WIDE.has(name)) };
    return maths(tag, { accent: "true" }, this.argument(), operator(mark, attributes));
  }

  styledFraction(name) {
    const plain = fraction(this.argument(), this.argument());
    const styles = { "\\dfrac": "true", "\\cfrac": "true", "\\tfrac": "false" };
    return styles[name] ? maths("mstyle", { displaystyle: styles[name] }, plain) : plain;
  }

  /** Reads \cancelto{value}{expression}: the expression struck through, with the value above. */
  cancelTo() {
    const value = this.argument();
    return maths("msup", {}, maths("mrow", { class: "cancelled" }, this.argument()), value);
  }

  root() {
    if (!this.takes("[")) return maths("msqrt", {}, this.argument());
    const degree = this.row(["]"]);
    this.expect("]");
    return maths("mroot", {}, this.argument(), degree);
  }

  upright() {
    this.takes("*");
    if (this.next !== "{") return null; // {\rm …}: the switch alone
    const name = words(this.raw()).replace(/\\[,;: ]/g, " ");
    if (/[\\{}$^_]/.test(name)) throw new Unsupported(name);
    return maths("mi", name.length === 1 ? { mathvariant: "normal" } : {}, name);
  }

  /** Reads letters of another alphabet; anything else stays as it is. */
  lettered(alphabet) {
    const braced = this.next === "{";
    let end = this.place + (braced ? 1 : 0);
    const first = end;
    while (/^[A-Za-z0-9]+$/.test(this.tokens[end]?.text) && (braced || end === first)) end += 1;
    const whole = end > first && (!braced || this.tokens[end]?.text === "}");
    if (!whole) return this.argument();
    const letters = this.tokens.slice(first, end).map((token) => token.text).join("");
    this.place = braced ? end + 1 : end;
    return maths("mi", {}, [...letters].map((letter) => inAlphabet(letter, alphabet)).join(""));
  }

  delimiter() {
    const token = this.take();
    if (!Object.hasOwn(FENCES, token)) throw new Unsupported(token);
    return FENCES[token];
  }

  fenced() {
    const items = [fence(this.delimiter())];
    for (;;) {
      items.push(this.row(["\\right", "\\middle"]));
      const mark = this.take();
      items.push(fence(this.delimiter()));
      if (mark === "\\right") break;
    }
    return maths("mrow", {}, ...items.filter((item) => item.textContent !== "" || item.children.length));
  }

  environment() {
    const name = this.raw();
    if (!Object.hasOwn(ENVIRONMENTS, name)) throw new Unsupported(name);
    const [before, after, kind] = ENVIRONMENTS[name];
    if (kind === "array" || name.includes("alignat") || name.includes("alignedat")) this.raw();
    if (++this.depth > MAX_DEPTH) throw new Unsupported("nested too deeply");
    const rows = this.rows(["\\end"]);
    this.depth -= 1;
    this.expect("\\end");
    if (this.raw() !== name) throw new Unsupported(`end of ${name}`);
    const fences = [before, after].map((mark) => (mark ? [fence(mark)] : []));
    return asRow([...fences[0], grid(rows, kind), ...fences[1]]);
  }

  over() {
    const mark = this.argument();
    return maths("mover", {}, this.argument(), mark);
  }

  under() {
    const mark = this.argument();
    return maths("munder", {}, this.argument(), mark);
  }

  stacked() {
    this.expect("{");
    const rows = this.rows(["}"]);
    this.expect("}");
    return grid(rows, "");
  }

  negated() {
    const base = this.atom();
    if (base?.localName !== "mo") throw new Unsupported("\\not");
    base.append("\u0338");
    return base;
  }

  modulo(inBraces) {
    const items = [operator("mod", { lspace: "0", rspace: "0.33em" }), this.argument()];
    const fences = inBraces ? [[operator("(", { lspace: "0.6em" })], [operator(")")]] : [[], []];
    return maths("mrow", {}, ...fences[0], ...items, ...fences[1]);
  }
}
