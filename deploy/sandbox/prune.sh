#!/bin/sh
# Removes from an installed OpenClaw the files that a headless assistant on Linux never reads: source maps
# and type declarations, other systems' binaries, documentation, the web interface, and browser and desktop
# control (both disabled in our configuration). This saves about 250 of 650 MB.
#
# docs/reference/templates is kept: the agent's first turn reads it.
#
# Usage: prune.sh NODE_MODULES
set -eu
modules=$1
openclaw=$modules/openclaw

find "$modules" -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \
  -o -name '*.tsbuildinfo' -o -iname 'CHANGELOG*' \) -delete
find "$modules" -type d \( -path '*/prebuilds/darwin-*' -o -path '*/prebuilds/win32-*' -o -name musl_x64 \) \
  -prune -exec rm -rf {} +
find "$openclaw/docs" -type f ! -path '*/reference/templates/*' -delete
find "$openclaw/docs" -type d -empty -delete
rm -rf "$openclaw/dist/control-ui/assets" "$modules/@trycua" "$modules/playwright-core"
