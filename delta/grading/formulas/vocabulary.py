r"""The words and commands that the parser of mathematical answers knows."""

from fractions import Fraction


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


FUNCTIONS = word_set(
    """
    sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh
    tanh coth sech csch arcsinh arccosh arctanh asinh acosh atanh ln log lg exp sqrt cbrt abs
    floor ceil ceiling max min gcd lcm binomial binom factorial Rational Re Im arg cis
    """
)
GREEK = word_set(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu
    xi pi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma
    Upsilon Phi Psi Omega ell hbar nabla partial imath jmath infty infinity inf oo
    """
)
BLOCKED = word_set(
    """
    or and more less than if mod modulo when for least most not no none neither base only
    where unless except between greater fewer minus plus negative over squared cubed undefined
    cannot false below above under up at by half twice double step case without nor but any
    all every some to through until before after either both larger smaller bigger lower
    higher impossible exist exists divided multiplied choose
    """
)
SHORT_UNITS = word_set(
    """
    mm cm dm km nm um pm fm kg mg ug lb lbs oz ml mL cl dl in ft yd mi sq cu mph kph kmh kmph
    ms ns ps us min sec hr hrs yr Hz kHz MHz GHz Pa kPa MPa GPa eV keV MeV GeV kV mV mA kW MW
    kJ MJ kN nC uF nF pF mH mol rad deg USD AU pc kpc Mpc Gyr Myr erg dyn atm bar cal kcal au
    ly rpm fps cc sr Wb dB ohm ohms
    """
)
STATEMENT = word_set(
    """
    the answer solution solutions is are so thus hence therefore final result value values
    equation we get have of general function line curve point set that and it
    """
)
ALIASES = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "lg": "log",
    "ceiling": "ceil",
    "binom": "binomial",
}
FUNCTION_LETTERS = frozenset(("f", "g", "h", "F", "G", "H", r"\phi", r"\psi", r"\Phi", r"\Psi"))
TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "cis"))
NAMED_CONSTANTS = {r"\pi": "pi", r"\infty": "inf", r"\infinity": "inf", r"\inf": "inf"}
NAMED_CONSTANTS |= {r"\oo": "inf", r"\uppi": "pi", r"\imath": "i"}
NOT_SYMBOLS = word_set("pi nabla partial imath jmath infty infinity inf oo")
SHAPES = word_set(r"\square \diamond \star \bigstar \triangle \circledast \heartsuit \spadesuit")
SYMBOL_COMMANDS = SHAPES | {"\\" + name for name in GREEK - NOT_SYMBOLS}
BINOMIALS = frozenset((r"\binom", r"\dbinom", r"\tbinom"))
VARIANTS = {r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\vartheta": r"\theta"}
TIMES = frozenset(("*", r"\cdot", r"\times", r"\ast", "·", "×"))
OVER = frozenset(("/", r"\div", "÷"))
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\lfloor": r"\rfloor"}
CLOSING |= {r"\lceil": r"\rceil", r"\lvert": r"\rvert", "|": "|", r"\vert": r"\vert"}
FRACTIONS = frozenset((r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"))
LONG_WORD = 4  # letters of a run that is a word; a shorter one is a product
TEXT_COMMANDS = word_set(
    "text textrm textbf textit textsf texttt textup textnormal mbox hbox mathrm operatorname"
)
STYLES = word_set(
    "boxed fbox mathbf mathit mathsf mathtt mathcal mathscr mathfrak boldsymbol bm "
    "pmb vec overrightarrow"
)
ACCENTS = word_set("hat widehat bar overline tilde widetilde dot ddot underline")
VECTORS = word_set("mathbf boldsymbol bm pmb vec hat widehat")
SCALES = {
    r"\%": Fraction(1, 100),
    "percent": Fraction(1, 100),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
LETTER_UNITS = frozenset("mgsNJWVKFL")  # after a digit
UNIT_SIGNS = frozenset("/^.-(){}*") | {r"\cdot"}
NAMED_UNITS = word_set(r"\circ \degree \Omega \mu \AA \angstrom")
PREFIXES = frozenset("kMGmnp")  # of an ohm
NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve"
NUMERALS = {word: base for base, word in enumerate(NUMBER_WORDS.split(), start=2)}
NUMERALS |= {"sixteen": 16, "hexadecimal": 16, "binary": 2, "octal": 8, "decimal": 10}
RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    r"\lt": "<",
    r"\gt": ">",
    r"\le": "<=",
    r"\leq": "<=",
    r"\leqslant": "<=",
    r"\ge": ">=",
    r"\geq": ">=",
    r"\geqslant": ">=",
    r"\ne": "!=",
    r"\neq": "!=",
    r"\approx": "=",
    r"\in": "in",
}
UNKNOWN_RELATIONS = frozenset((r"\equiv", r"\to", r"\rightarrow", r"\propto", r"\mid", r"\implies"))
PLUS_MINUS = {r"\pm": "+-", r"\mp": "-+", "±": "+-", "∓": "-+"}
MATRICES = frozenset(("pmatrix", "bmatrix", "Bmatrix", "matrix", "array", "smallmatrix"))
SYSTEMS = frozenset(("cases", "aligned", "align", "align*", "gathered", "dcases", "rcases"))
NOT_FIRST_IN_UNIT = frozenset("-{}*")
