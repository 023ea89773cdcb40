#!/bin/sh
# Corrects an installed OpenClaw 2026.9.6: its short cut for resolving imports between its own modules takes only names
# that end in .js, and the modules of this release end in .mjs. Without it Node looks up each of 10,000 imports on disk.
#
# Usage: patch.sh OPENCLAW
set -eu
file=$(find "$1/dist" -maxdepth 1 -name 'entry.esm-resolve-fast-path-*.mjs' ! -name '*.runtime*' -exec grep -l 'endsWith(".js")' {} +)
sed -i 's|!specifier.endsWith(".js")|!/\.m?js$/.test(specifier)|' "$file"
grep -q '/\.m?js\$/' "$file"
