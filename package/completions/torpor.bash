# bash completion for torpor(8)

# command | word | what its value is: "files", the words to choose from, or a name; made from the
# command's parser. No command: a command or an option before it. No word: an argument by place.
_torpor_table() {
    cat <<'TABLE'
@TABLE@
TABLE
}

_torpor() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' row_command word values words='' files='' argument
    for argument in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $argument == -* ]] || { command=$argument; break; }
    done
    while IFS='|' read -r row_command word values; do
        [[ $row_command == "$command" ]] || continue
        if [[ -n $word && $word == "$previous" && -n $values ]]; then
            words='' files=''
            case $values in
                files) files=yes ;;
                [A-Z]*) ;;
                *) words=$values ;;
            esac
            break
        fi
        if [[ -n $word ]]; then
            words+=" $word"
        elif [[ $values == files ]]; then
            files=yes
        fi
    done < <(_torpor_table)
    COMPREPLY=()
    if [[ -n $files && $current != -* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
}

complete -F _torpor torpor
