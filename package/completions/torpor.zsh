#compdef torpor
# zsh completion for torpor(8)

# command | specification for _arguments; no command: "command:what it does", or an option before
# it; made from the command's parser
_torpor_table() {
    cat <<'TABLE'
@TABLE@
TABLE
}

_torpor() {
    local command=${words[2]} row
    local -a commands specs
    for row in ${(f)"$(_torpor_table)"}; do
        if (( CURRENT == 2 )); then
            case $row in
                '|-'*) specs+=("${row#|}") ;;
                '|'*) commands+=("${row#|}") ;;
            esac
        elif [[ $row == "$command|"* ]]; then
            specs+=("${row#*|}")
        fi
    done
    if (( CURRENT == 2 )); then
        _describe -t commands 'torpor command' commands
    else
        shift words
        (( CURRENT-- ))
    fi
    _arguments $specs
}

_torpor "$@"
