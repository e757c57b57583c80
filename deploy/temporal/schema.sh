#!/bin/sh
# Brings Temporal's two schemas to the version of this image; again and again does no harm.
set -eu

SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
export SQL_PASSWORD

for schema in temporal visibility; do
    case $schema in
    temporal) database=temporal ;;
    visibility) database=temporal_visibility ;;
    esac
    tool="temporal-sql-tool --plugin postgres12_pgx --endpoint $SQL_HOST --port ${SQL_PORT:-5432} --user temporal --database $database"
    $tool setup-schema --version 0.0
    $tool update-schema --schema-name "postgresql/v12/$schema"
done
