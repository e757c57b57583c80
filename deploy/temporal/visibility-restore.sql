-- Temporal's own indexes as they were before visibility-slim.sql; then its schema may be updated.
--
--     psql "$VISIBILITY_URL" --single-transaction --file visibility-restore.sql

DO $$
DECLARE
    one record;
BEGIN
    IF to_regclass('topup_visibility_indexes') IS NULL THEN
        RETURN;
    END IF;
    FOR one IN SELECT name, definition FROM topup_visibility_indexes LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I', one.name);
        EXECUTE one.definition;
    END LOOP;
    DROP TABLE topup_visibility_indexes;
END $$;
