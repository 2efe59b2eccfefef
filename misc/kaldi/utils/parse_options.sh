#!/usr/bin/env bash
# Sourced by scripts after their defaults: `--some-option value` sets some_option.
# --help prints the comment at the top of the script, or its help_message; an option
# without a variable, or a boolean that is not true or false, ends the script.
# `--config file` is sourced first, wherever it stands: the command line wins.

_parse_options_die() {
  echo "$0: $1" >&2
  exit 1
}

_parse_options_help() {
  if [ -n "${help_message:-}" ]; then
    printf '%s\n' "$help_message" >&2
  else
    awk 'NR > 1 && !/^#/ {exit} NR > 1 {sub(/^# ?/, ""); print}' "$0" >&2
  fi
  [ $# -eq 0 ] || exit "$1"
}

for ((_argpos = 1; _argpos < $#; _argpos++)); do
  if [ "${!_argpos}" = --config ]; then
    _next=$((_argpos + 1))
    [ -r "${!_next}" ] || _parse_options_die "cannot read --config file ${!_next}"
    # shellcheck disable=SC1090
    . "${!_next}"
  fi
done
unset _argpos _next

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      _parse_options_help 0
      ;;
    --*=*)
      _parse_options_die "write '--name value', not '$1'"
      ;;
    --)
      shift
      break
      ;;
    --*)
      [ $# -gt 1 ] || _parse_options_die "option $1 needs a value"
      _name=${1#--}
      _name=${_name//-/_}
      if [ "$_name" != config ]; then
        [[ $_name =~ ^[A-Za-z_][A-Za-z0-9_]*$ && -n ${!_name+set} ]] ||
          _parse_options_die "no such option: $1"
        case ${!_name} in
          true | false)
            case $2 in
              true | false) ;;
              *) _parse_options_die "expected true or false for $1, got '$2'" ;;
            esac
            ;;
        esac
        printf -v "$_name" %s "$2"
      fi
      shift 2
      ;;
    *)
      break
      ;;
  esac
done
unset _name
# An empty --cmd would run the log file as a command.
[ -n "${cmd-run.pl}" ] || _parse_options_die "--cmd is empty"
unset -f _parse_options_die _parse_options_help
true
