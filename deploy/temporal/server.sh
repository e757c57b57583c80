#!/bin/sh
# The server reads its password from the environment alone; here it comes out of a secret's file.
set -eu

POSTGRES_PWD=$(cat "$POSTGRES_PWD_FILE")
export POSTGRES_PWD
exec /etc/temporal/entrypoint.sh
