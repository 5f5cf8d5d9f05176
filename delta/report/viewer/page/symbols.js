"use strict";
// The TeX commands that are supported. In the tables, names alternate with characters.

const table = (text) => {
  const words = text.trim().split(/\s+/);
  const entries = {};
  for (let at = 0; at < words.length; at += 2) entries[`\\${words[at]}`] = words[at + 1];
  return entries;
};
const set = (text) => new Set(text.trim().split(/\s+/).map((name) => `\\${name}`));

const LETTERS = table(`
  alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι
  kappa κ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ
  upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ
  Upsilon Υ Phi Φ Psi Ψ Omega Ω infty ∞ partial ∂ nabla ∇ ell ℓ hbar ℏ imath ı jmath ȷ Re ℜ Im ℑ
  aleph ℵ emptyset ∅ varnothing ∅ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■
  diamond ⋄ bigstar ★ checkmark ✓ top ⊤ bot ⊥ forall ∀ exists ∃ nexists ∄ degree ° prime ′ dagger †
  pounds £ euro € wp ℘ Diamond ◇ clubsuit ♣ heartsuit ♡ spadesuit ♠ diamondsuit ♢ i ı
`);

const OPERATORS = table(`
  cdot ⋅ times × div ÷ pm ± mp ∓ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙
  cap ∩ cup ∪ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ neg ¬ lnot ¬ sqcup ⊔ sqcap ⊓
  le ≤ leq ≤ leqslant ⩽ ge ≥ geq ≥ geqslant ⩾ lt < gt > ll ≪ gg ≫ ne ≠ neq ≠ equiv ≡ approx ≈
  sim ∼ simeq ≃ cong ≅ propto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ in ∈ ni ∋ notin ∉
  subset ⊂ subseteq ⊆ subsetneq ⊊ supset ⊃ supseteq ⊇ supsetneq ⊋ perp ⊥ parallel ∥ nparallel ∦
  mid ∣ nmid ∤ prec ≺ succ ≻ preceq ⪯ succeq ⪰ models ⊨ vdash ⊢ lesssim ≲ gtrsim ≳
  to → rightarrow → longrightarrow ⟶ leftarrow ← gets ← longleftarrow ⟵ leftrightarrow ↔
  Rightarrow ⇒ Longrightarrow ⟹ implies ⟹ Leftarrow ⇐ impliedby ⟸ Leftrightarrow ⇔
  Longleftrightarrow ⟺ iff ⟺ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ Uparrow ⇑ Downarrow ⇓
  nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ rightleftharpoons ⇌ leadsto ⇝
  therefore ∴ because ∵ ldots … dots … dotsc … cdots ⋯ dotsb ⋯ dotsm ⋯ vdots ⋮ ddots ⋱ colon :
  backslash ∖ % % $ $ # # & & _ _ S § P ¶
`);

const SUMS = table(`
  sum ∑ prod ∏ coprod ∐ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀ bigsqcup ⨆
`);
const INTEGRALS = table("int ∫ iint ∬ iiint ∭ oint ∮");

const FENCES = {
  "(": "(", ")": ")", "[": "[", "]": "]", "|": "|", "/": "/", "<": "⟨", ">": "⟩", ".": "",
  "\\{": "{", "\\}": "}", "\\|": "‖",
  ...table(`
    lbrace { rbrace } lbrack [ rbrack ] vert | lvert | rvert | Vert ‖ lVert ‖ rVert ‖ langle ⟨
    rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lgroup ( rgroup ) backslash \\ uparrow ↑ downarrow ↓
  `),
};

const FUNCTIONS = set(`
  sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp deg dim ker hom arg
  arccot sgn tg ctg arctg
`);
const LIMITS = set("lim limsup liminf max min sup inf gcd lcm det Pr argmax argmin");

const SPACES = {
  "\\,": "0.167em", "\\:": "0.222em", "\\>": "0.222em", "\\;": "0.278em", "\\!": "-0.167em",
  "\\ ": "0.333em", "\\\n": "0.333em", "~": "0.333em", "\\enspace": "0.5em", "\\quad": "1em",
  "\\qquad": "2em", "\\thinspace": "0.167em", "\\medspace": "0.222em", "\\thickspace": "0.278em",
};

const ACCENTS = table(`
  bar ‾ hat ^ widehat ^ tilde ~ widetilde ~ vec → overrightarrow → overleftarrow ←
  overleftrightarrow ↔ dot ˙ ddot ¨ check ˇ breve ˘ acute ´ grave \` mathring ˚ overbrace ⏞
  overarc ⌒ widearc ⌒
`);
const UNDER_ACCENTS = table("underbrace ⏟ underrightarrow → underleftarrow ←");
const WIDE = set(`
  widehat widetilde overrightarrow overleftarrow overleftrightarrow overbrace underbrace
  underrightarrow underleftarrow overarc widearc
`);

// Commands that draw a rule around or through their argument, and the class of that rule.
const RULES = table(`
  boxed boxed fbox boxed framebox boxed overline overlined underline underlined cancel cancelled
  bcancel cancelled xcancel cancelled sout cancelled
`);

const FRACTIONS = set("frac dfrac tfrac cfrac");
const BINOMIALS = set("binom dbinom tbinom");
const INFIX = set("over choose"); // between numerator and denominator: {a \over b}
const WORDS = set("text textrm textnormal textbf textit texttt textsf textup mbox hbox emph");
const UPRIGHT = set("mathrm operatorname mathop mathsf mathtt mathit mathnormal");
const SILENT = set(`
  displaystyle textstyle scriptstyle limits nolimits nonumber notag hline hfill centering bf it rm sf
  tt boldmath small large Large noindent allowbreak nobreak relax strut
`);
const DROPPED = set("label hspace vspace color phantom hphantom vphantom cline ref eqref");
const BIG = /^\\(?:big|Big|bigg|Bigg)[lrm]?$/;

// Environment → the fences around its rows and the class of its table.
const ENVIRONMENTS = {
  matrix: ["", "", ""], smallmatrix: ["", "", ""], array: ["", "", "array"],
  pmatrix: ["(", ")", ""], bmatrix: ["[", "]", ""], Bmatrix: ["{", "}", ""],
  vmatrix: ["|", "|", ""], Vmatrix: ["‖", "‖", ""],
  cases: ["{", "", "left"], dcases: ["{", "", "left"], rcases: ["", "}", "left"],
};
for (const name of ["align", "aligned", "alignat", "alignedat", "split", "eqnarray", "flalign"]) {
  ENVIRONMENTS[name] = ENVIRONMENTS[`${name}*`] = ["", "", "aligned"];
}
for (const name of ["gather", "gathered", "equation", "multline", "displaymath", "math"]) {
  ENVIRONMENTS[name] = ENVIRONMENTS[`${name}*`] = ["", "", ""];
}

// Alphabets: first code points of capitals, small letters and digits, and letters with other code points.
const ALPHABETS = {
  "\\mathbb": [0x1d538, 0x1d552, 0x1d7d8, "CℂHℍNℕPℙQℚRℝZℤ"],
  "\\mathbf": [0x1d400, 0x1d41a, 0x1d7ce, ""],
  "\\mathcal": [0x1d49c, 0x1d4b6, null, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"],
  "\\mathfrak": [0x1d504, 0x1d51e, null, "CℭHℌIℑRℜZℨ"],
};
ALPHABETS["\\mathscr"] = ALPHABETS["\\mathcal"];
for (const name of ["\\bold", "\\boldsymbol", "\\bm"]) ALPHABETS[name] = ALPHABETS["\\mathbf"];
