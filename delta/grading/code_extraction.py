"""Extract the program from an answer: a block of code, or for HumanEval an answer that is code.

Of several blocks, take the last one that defines the required function. If no function is required
or no block defines it, take the last block that is a program. These blocks are not programs:
- a block of another language, or one that calls, imports and defines nothing;
- a block without a language that does not parse as Python, or calls only unknown functions (sample
  input and output, a traceback, a session with `>>>`);
- a block that calls a function of an earlier block (an example of its use).
If no block is a program, take the last block of Python, else the last one without a language.
Blocks are never joined, so a program that is spread over several is not found.
"""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*(\S*)(.*)$")
# The name may have a version, a title after it, or be a class in braces, as Pandoc writes it.
PYTHON = re.compile(
    r"(?:\{(?:[^}]*\s)?\.?)?(?:i?python|py|pypy|cpython)[\d.]*(?![\w-])", re.IGNORECASE
)
MARKDOWN = re.compile(r"(?:markdown|md)$", re.IGNORECASE)
BLANK_LINES = re.compile(r"(?:[ \t]*\r?\n)*")
# Prose may start with "From" or one space, but not like this.
CODE_STARTS = re.compile(r"(?:    |\t)[ \t]*\S|(?:async def|def|import|from|class) \w|@\w|\w+ = ")
MAX_PARSED = 200_000  # characters; no solution is longer, and parsing more takes seconds
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Block(NamedTuple):
    """A fenced block of an answer."""

    language: str  # as written after the fence; "" where there is none
    code: str


def extract_program(answer: str, cut: bool, function: str | None = None) -> str | None:
    """Return the block to run, by the rules above; None where there is none.

    A last block that is not closed extends to the end of the answer, unless the answer was cut.
    `function`: the name of the required function; None where a whole program is required.
    """
    candidates = [
        Block(block.language, _dedent(block.code, function))
        for block in fenced_blocks(answer, cut)
        if not block.language or PYTHON.match(block.language)
    ]
    trees = [_parse(block.code) for block in candidates]
    pairs = list(zip(candidates, trees, strict=True))
    known = {function} if function else set[str]()  # what other blocks define
    programs = []
    for block, tree in pairs:
        if _is_program(block, tree, known):
            programs.append(block)
        known |= _module_names(tree)
    defining = [
        block
        for block, tree in pairs
        if function is not None and _defines(block.code, tree, function)
    ]
    labelled = [block for block in candidates if block.language]
    best = defining or programs or labelled or candidates
    return best[-1].code if best else None


def fenced_blocks(answer: str, cut: bool) -> Iterator[Block]:
    """Yield the fenced blocks, and for a block of Markdown the blocks inside it.

    A fence is closed by a fence of the same kind that is at least as long. A fence of the same kind
    that names a language opens a new block, because models forget to close the previous one.
    """
    opened, lines = None, list[str]()
    for line in answer.replace("\r\n", "\n").split("\n"):
        fence = FENCE.match(line)
        if fence and "`" in fence[3] + fence[4] and fence[2][0] == "`":
            fence = None  # code within a line: ```x```
        if opened is None:
            opened, lines = fence, []
        elif fence and fence[2].startswith(opened[2]) and not fence[3]:
            yield from _block(opened, lines, cut=False)
            opened = None
        elif fence and fence[2] == opened[2] and not MARKDOWN.match(opened[3]):
            opened, lines = fence, []
        else:
            lines.append(line)
    if opened and (not cut or MARKDOWN.match(opened[3])):
        yield from _block(opened, lines, cut)


def _block(opened: re.Match[str], lines: list[str], cut: bool) -> Iterator[Block]:
    # Remove the indentation of the fence, as in a list; keep that of a function's body.
    text = "\n".join(line.removeprefix(opened[1]) for line in lines) + "\n"
    if MARKDOWN.match(opened[3]):
        yield from fenced_blocks(text, cut)
    else:
        yield Block((opened[3] + opened[4]).strip(), text)


def _dedent(code: str, function: str | None) -> str:
    """Remove the common indentation if the result is a program.

    The indented body of a function keeps its indentation.
    """
    if not code.lstrip("\n")[:1].isspace() or not (text := textwrap.dedent(code)).strip():
        return code
    tree = _parse(text)
    is_program = tree is not None and (function is None or _defines(text, tree, function))
    return text if is_program else code


def _parse(code: str) -> ast.Module | None:
    try:
        return ast.parse(code) if len(code) <= MAX_PARSED else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defines(code: str, tree: ast.Module | None, function: str) -> bool:
    """Return whether the block binds the name, or has it as a method of a class Solution."""
    if tree is None:  # not Python, or the body of a function
        return re.search(rf"^[ \t]*(?:async )?def {re.escape(function)}\b", code, re.M) is not None
    return function in _module_names(tree) or any(
        isinstance(node, ast.FunctionDef) and node.name == function
        for solution in tree.body
        if isinstance(solution, ast.ClassDef) and solution.name == "Solution"
        for node in solution.body
    )


def _module_names(tree: ast.Module | None) -> set[str]:
    """Return the functions, classes and variables of the module (f = lambda x: x defines f)."""
    names = set[str]()
    for node in tree.body if tree else []:
        if isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _is_program(block: Block, tree: ast.Module | None, known: set[str]) -> bool:
    if tree is None:  # the indented body of a function, or a program with a syntax error
        return bool(block.language) and not block.code.lstrip().startswith(">>>")
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Return) for node in tree.body):
        return True  # the body of a function, which may call itself
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    bound = set(_bound_names(tree)) | set(dir(builtins))
    called = {node.id for node in calls if isinstance(node, ast.Name)}
    if "*" not in bound and called & (known - bound):
        return False
    if any(isinstance(node, (*DEFINITIONS, ast.Import, ast.ImportFrom)) for node in nodes):
        return True
    return bool(calls) if block.language else bool(called & bound) or len(calls) > len(called)


def _bound_names(tree: ast.Module) -> Iterator[str]:
    """Yield every name that a program binds, including arguments and imports."""
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def unfenced_code(answer: str) -> str | None:
    """Return an answer that is itself code, or the indented body of a function; else None."""
    text = BLANK_LINES.sub("", answer, count=1).rstrip()
    return text + "\n" if CODE_STARTS.match(text) else None


def complete_prompt(prompt: str, function: str, code: str) -> tuple[str, ...]:
    """Return the texts to run for a HumanEval prompt.

    `code` is the function or only its body. The prompt is also run before a complete function, for
    its imports and helpers; it ends with a docstring and so is valid by itself.
    """
    tree = _parse(code)
    if _defines(code, tree, function):
        if tree is not None and function not in _module_names(tree):
            return prompt, code, f"{function} = Solution().{function}\n"
        return prompt, code
    first = next((line for line in code.split("\n") if line.strip()), "")
    body = code if first[:1].isspace() else textwrap.indent(code, "    ")
    return (prompt.rstrip() + "\n" + body,)
