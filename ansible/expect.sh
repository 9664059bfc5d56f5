# shellcheck shell=bash
# What the tests of the playbooks share: they count what passes and what fails, and read what a playbook printed.
# Who sources it makes the folder $work.

passed=0 failed=0
: "${work:?a folder for outputs}"

# expect WHAT COMMAND...: the command must succeed.
expect() {
  local what=$1
  shift
  if "$@" >>"$work/output" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$what"
    tail -n 60 "$work/output" | sed 's/^/    | /'
  fi
}

refused() { ! play "$@"; }
reports() { tr -s '[:space:]' ' ' <"$work/output" | grep -F -- "$1" >/dev/null; }

# finish: the figures; fails when anything has failed.
finish() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
