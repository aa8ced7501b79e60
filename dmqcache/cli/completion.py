"""Scripts that let bash, zsh and fish complete the commands and their flags, made from the commands.

They are plain lists of words: to press Tab starts no process and asks no node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

#: Command -> its flags.
Words = Mapping[str, Sequence[str]]

SHELLS: Final = ("bash", "zsh", "fish")


def script(shell: str, words: Words) -> str:
    """The script for one of :data:`SHELLS`."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words)


def _cases(words: Words, line: str) -> str:
    return "".join(line.format(name=name, flags=" ".join(flags)) for name, flags in words.items())


def _bash(words: Words) -> str:
    cases = _cases(words, "    {name}) words='{flags}' ;;\n")
    return (
        '# bash: eval "$(dmqcache completion bash)"\n'
        "_dmqcache() {\n"
        '  local words current="${COMP_WORDS[COMP_CWORD]}"\n'
        '  case "${COMP_WORDS[1]}" in\n'
        f"{cases}"
        "  esac\n"
        f"  [ \"$COMP_CWORD\" -gt 1 ] || words='{' '.join(words)} --help --version'\n"
        "  COMPREPLY=()\n"
        '  if [ "$COMP_CWORD" -eq 1 ] || [[ "$current" == -* ]]; then\n'
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))\n'
        "  fi\n"
        "}\n"
        "complete -o default -F _dmqcache dmqcache\n"
    )


def _zsh(words: Words) -> str:
    cases = _cases(words, "    {name}) compadd -- {flags} ;;\n")
    return (
        "#compdef dmqcache\n"
        '# zsh: eval "$(dmqcache completion zsh)", after compinit\n'
        "_dmqcache() {\n"
        "  if (( CURRENT == 2 )); then\n"
        f"    compadd -- {' '.join(words)} --help --version\n"
        "    return\n"
        "  fi\n"
        '  [[ "$PREFIX" == -* ]] || { _files; return }\n'
        '  case "$words[2]" in\n'
        f"{cases}"
        "  esac\n"
        "}\n"
        "compdef _dmqcache dmqcache\n"
    )


def _fish(words: Words) -> str:
    lines = ["# fish: dmqcache completion fish | source"]
    lines.append(f"complete -c dmqcache -n __fish_use_subcommand -f -a '{' '.join(words)}'")
    for name, flags in words.items():
        for flag in flags:
            if flag.startswith("--"):
                condition = f"'__fish_seen_subcommand_from {name}'"
                lines.append(f"complete -c dmqcache -n {condition} -l {flag.removeprefix('--')}")
    return "\n".join(lines) + "\n"
