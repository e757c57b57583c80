#!/bin/sh
# Runs once, when PostgreSQL makes its data directory: a role and its databases for Temporal, two roles and a database
# for the order book: `topup` owns it and migrates, `topup_process` works with it (`topup setup --process-role`).
# Passwords are taken with \set from the environment of psql alone, so that they show in no process list.
set -eu

TEMPORAL_PASSWORD=$(cat /run/secrets/temporal_database_password)
TOPUP_PASSWORD=$(cat /run/secrets/topup_database_password)
PROCESS_PASSWORD=$(cat /run/secrets/topup_process_database_password)
export TEMPORAL_PASSWORD TOPUP_PASSWORD PROCESS_PASSWORD

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv temporal_password TEMPORAL_PASSWORD
\getenv topup_password TOPUP_PASSWORD
\getenv process_password PROCESS_PASSWORD
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE topup LOGIN PASSWORD :'topup_password';
CREATE ROLE topup_process LOGIN PASSWORD :'process_password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE topup OWNER topup;
REVOKE ALL ON DATABASE temporal, temporal_visibility, topup FROM PUBLIC;
GRANT CONNECT ON DATABASE topup TO topup_process;
SQL
