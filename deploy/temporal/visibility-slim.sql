-- Fewer and smaller indexes on Temporal's visibility table: what an order writes there is most of what it costs at
-- Temporal's PostgreSQL (docs/performance.md). Run it on the database temporal_visibility, as its owner, after schema.sh:
--
--     psql "$VISIBILITY_URL" --single-transaction --file visibility-slim.sql
--
-- It builds indexes while it holds the table: on a new deployment at once, on one that runs in a quiet hour. What was
-- there is kept in the table topup_visibility_indexes; visibility-restore.sql brings it back, and must be run before
-- Temporal's own schema is updated. Temporal does not support changes of its schema: ask its people with the restored one.

CREATE TABLE IF NOT EXISTS topup_visibility_indexes (name text PRIMARY KEY, definition text NOT NULL);

DO $$
DECLARE
    one record;
    -- Nobody of ours lists runs by these; a list by one of them reads the namespace's runs one by one.
    unused constant name[] := ARRAY[
        'by_execution_time', 'by_execution_duration', 'by_history_length', 'by_history_size_bytes',
        'by_state_transition_count', 'by_parent_workflow_id', 'by_parent_run_id', 'by_root_workflow_id',
        'by_root_run_id'
    ];
BEGIN
    FOR one IN
        SELECT c.relname AS name, pg_get_indexdef(c.oid) AS definition, a.attname AS attribute
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[1]
        WHERE i.indrelid = 'executions_visibility'::regclass AND NOT i.indisunique AND i.indpred IS NULL
            AND (c.relname = ANY (unused) OR NOT a.attnotnull)
    LOOP
        INSERT INTO topup_visibility_indexes VALUES (one.name, one.definition) ON CONFLICT DO NOTHING;
        EXECUTE format('DROP INDEX %I', one.name);
        IF one.name <> ALL (unused) THEN
            -- Of an attribute that a run hasn't, the index then holds nothing: nobody uses most of the 73.
            EXECUTE one.definition || format(' WHERE %I IS NOT NULL', one.attribute);
        END IF;
    END LOOP;
END $$;

ANALYZE executions_visibility;
