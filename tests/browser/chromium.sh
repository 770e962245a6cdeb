#!/usr/bin/env bash
# Say where Chromium is; as root on Debian, install it first if it is missing.
set -euo pipefail
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu; } >&2 || true
fi
command -v chromium || { echo "Chromium is not here and cannot be installed" >&2; exit 77; }
