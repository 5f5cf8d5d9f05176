"""Words, commands and signs that several modules use."""


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
# Words that change the meaning of a number beside them: "less than 5" is not 5.
QUALIFYING_WORDS = word_set(
    """
    or and more less than if mod modulo when for least most not no none neither base only
    where unless except between greater fewer minus plus negative over squared cubed undefined
    cannot false below above under up at by half twice double step case without nor but any
    all every some to through until before after either both larger smaller bigger lower
    higher impossible exist exists divided multiplied choose
    """
)
# Words of a sentence around an answer: "so the answer is 5" is 5.
SENTENCE_WORDS = word_set(
    """
    the answer solution solutions is are so thus hence therefore final result value values
    equation we get have of general function line curve point set that and it
    """
)
TIMES = frozenset(("*", r"\cdot", r"\times", r"\ast", "·", "×"))
OVER = frozenset(("/", r"\div", "÷"))
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\lfloor": r"\rfloor"}
CLOSING |= {r"\lceil": r"\rceil", r"\lvert": r"\rvert", "|": "|", r"\vert": r"\vert"}
FRACTIONS = frozenset((r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"))
LONG_WORD = 4  # letters; a shorter run of letters is a product
SIGNS_OF_RELATIONS = {
    "=": r"= \approx",
    "<": r"< \lt",
    ">": r"> \gt",
    "<=": r"\le \leq \leqslant",
    ">=": r"\ge \geq \geqslant",
    "!=": r"\ne \neq",
    "in": r"\in",
}
RELATIONS = {sign: name for name, signs in SIGNS_OF_RELATIONS.items() for sign in signs.split()}
