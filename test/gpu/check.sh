#!/usr/bin/env bash
# Unpacks what "npm run gpu:pack" wrote and runs the check on this machine: a bare Linux x64 with bash, coreutils, tar and gzip; no network, no Node.
# usage: check.sh [--archives FOLDER] [--into FOLDER] [arguments of the check: --provider cuda|webgpu|cpu, --short, --parts LIST, --seconds N]
# Archives default to .tmp/gpu of this checkout, the folder to unpack into to "unpacked" beside them. An archive that is unpacked already is not unpacked
# again. Prints one JSON document to stdout (and to $OUT/gpu-check.json where OUT is set), progress to stderr. Exit code: 0 all that could run agrees,
# 1 something disagrees, 2 it could not start.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
archives="$here/../../.tmp/gpu"
into=''
words=()
while [ $# -gt 0 ]; do
  case "$1" in
    --archives) archives="${2:?--archives needs a folder}"; shift 2 ;;
    --into) into="${2:?--into needs a folder}"; shift 2 ;;
    *) words+=("$1"); shift ;;
  esac
done
into="${into:-$archives/unpacked}"

say() { printf '%s\n' "$*" >&2; }

# One JSON document that says why nothing ran.
refuse() {
  local text
  text=$(printf '%s' "$1" | tr '\n\t' '  ' | sed 's/\\/\\\\/g; s/"/\\"/g')
  local document="{\"program\": \"loomweight gpu check\", \"outcome\": \"nothing ran\", \"notes\": [\"$text\"], \"parts\": {}}"
  say "$1"
  printf '%s\n' "$document"
  if [ -n "${OUT:-}" ]; then printf '%s\n' "$document" > "$OUT/gpu-check.json"; fi
  exit 2
}

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || refuse "The check runs on Linux x64 only, this is $(uname -s) $(uname -m)."
for program in tar gzip sha256sum; do
  command -v "$program" > /dev/null || refuse "$program is missing on this machine; the archives cannot be unpacked without it."
done
sums="$archives/SHA256SUMS"
[ -f "$sums" ] || refuse "There is no $sums: run \"npm run gpu:pack\" and bring its files here, SHA256SUMS with each of them."

stamp="$into/.unpacked"
if [ -f "$stamp" ] && cmp -s "$sums" "$stamp"; then
  say 'check: unpacked already'
else
  parts=()
  while read -r sum name; do
    [ -f "$archives/$name" ] || refuse "The archive $name is missing in $archives: bring it here and run this again."
    say "check: verifying $name"
    [ "$(sha256sum < "$archives/$name" | cut -d' ' -f1)" = "$sum" ] ||
      refuse "The archive $name is damaged: its SHA-256 is not the one in SHA256SUMS. Bring it here again."
    parts+=("$archives/$name")
  done < "$sums"
  [ "${#parts[@]}" -gt 0 ] || refuse "$sums names no archive: run \"npm run gpu:pack\" again."
  rm -rf "$into"
  mkdir -p "$into" || refuse "The folder $into cannot be made: name another with --into."
  say 'check: unpacking'
  cat "${parts[@]}" | gzip -dc | tar -xf - -C "$into" || refuse "The archives cannot be unpacked into $into: is there space for 600 MB?"
  cp "$sums" "$stamp"
fi

version=$("$into/node" --version 2>&1) || refuse "The packed Node cannot run here: $version"
if [ -n "${OUT:-}" ]; then mkdir -p "$OUT"; fi
result="$into/gpu-check.json"
rm -f "$result"
# HOME may not be there; nothing of the check may land in it.
HOME="$into" "$into/node" "$into/check.mjs" --out "$result" "${words[@]}" > /dev/null
code=$?
[ -f "$result" ] || refuse "The check ended with exit code $code before it had a result."
cat "$result"
if [ -n "${OUT:-}" ]; then cp "$result" "$OUT/gpu-check.json"; fi
# The document is complete after the last part: how the process ended after that says nothing about the card.
if grep -q '"outcome": "disagrees"' "$result"; then exit 1; fi
exit 0
