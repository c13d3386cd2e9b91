"""The ledger's tables. `tally` is what `request` adds up to by the hour: a sum then needs no look at millions of rows.
`total` is what it ever added up to, for Prometheus' counters, which outlive a restart that way.

They change in one transaction, by triggers: a request that comes twice is neither stored nor counted twice.
"""

FIRST = """
    CREATE TABLE request (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, deployment TEXT NOT NULL, replica TEXT NOT NULL,
        status INTEGER NOT NULL, outcome TEXT NOT NULL, started_s REAL NOT NULL, duration_s REAL, ttft_s REAL
    );
    CREATE INDEX request_started ON request (started_s);
    CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL)
    """

# An index each for: a deployment's last seconds, a tenant's last day, a migration's step.
# Turned away: the load balancer's own 4xx, no deployment's doing. Uncounted: an answer of which no tokens are known.
SECOND = """
    ALTER TABLE request ADD COLUMN route_version INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE request ADD COLUMN sent_bytes INTEGER;
    ALTER TABLE request ADD COLUMN prompt_tokens INTEGER;
    ALTER TABLE request ADD COLUMN completion_tokens INTEGER;
    ALTER TABLE request ADD COLUMN tokens_from TEXT NOT NULL DEFAULT '';
    ALTER TABLE request ADD COLUMN ended_s REAL NOT NULL DEFAULT 0;
    UPDATE request SET ended_s = started_s + coalesce(duration_s, 0);
    CREATE INDEX request_of_deployment ON request (deployment, ended_s);
    CREATE INDEX request_of_tenant ON request (tenant, started_s);
    CREATE INDEX request_of_step ON request (tenant, deployment, route_version, ended_s);
    CREATE VIEW counted AS
        SELECT rowid AS number, tenant, route_version, deployment, started_s,
               CAST(started_s / 3600 AS INTEGER) AS hour, 1 AS requests,
               outcome = 'complete' AS complete, outcome = 'truncated' AS truncated,
               outcome = 'client_closed' AS client_closed, outcome = 'failed' AS failed, outcome = 'unknown' AS unknown,
               outcome = 'complete' AND replica = '' AND status BETWEEN 400 AND 499 AS turned_away,
               coalesce(prompt_tokens, 0) AS prompt_tokens, coalesce(completion_tokens, 0) AS completion_tokens,
               tokens_from = 'chunks' AS by_chunks,
               completion_tokens IS NULL
                   AND (outcome = 'unknown' OR replica <> '' AND status BETWEEN 200 AND 399) AS uncounted
        FROM request;
    CREATE TABLE tally (
        tenant TEXT NOT NULL, route_version INTEGER NOT NULL, deployment TEXT NOT NULL, hour INTEGER NOT NULL,
        requests INTEGER NOT NULL, complete INTEGER NOT NULL, truncated INTEGER NOT NULL,
        client_closed INTEGER NOT NULL, failed INTEGER NOT NULL, unknown INTEGER NOT NULL,
        turned_away INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        by_chunks INTEGER NOT NULL, uncounted INTEGER NOT NULL,
        PRIMARY KEY (tenant, route_version, deployment, hour)
    ) WITHOUT ROWID;
    CREATE INDEX tally_hour ON tally (hour);
    INSERT INTO tally
        SELECT tenant, route_version, deployment, hour, sum(requests), sum(complete), sum(truncated),
               sum(client_closed), sum(failed), sum(unknown), sum(turned_away), sum(prompt_tokens),
               sum(completion_tokens), sum(by_chunks), sum(uncounted)
        FROM counted GROUP BY tenant, route_version, deployment, hour;
    CREATE TRIGGER request_counted AFTER INSERT ON request BEGIN
        INSERT INTO tally
            SELECT tenant, route_version, deployment, hour, requests, complete, truncated, client_closed, failed,
                   unknown, turned_away, prompt_tokens, completion_tokens, by_chunks, uncounted
            FROM counted WHERE number = new.rowid
            ON CONFLICT DO UPDATE SET
                requests = requests + 1, complete = complete + excluded.complete,
                truncated = truncated + excluded.truncated, client_closed = client_closed + excluded.client_closed,
                failed = failed + excluded.failed, unknown = unknown + excluded.unknown,
                turned_away = turned_away + excluded.turned_away,
                prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                completion_tokens = completion_tokens + excluded.completion_tokens,
                by_chunks = by_chunks + excluded.by_chunks, uncounted = uncounted + excluded.uncounted;
    END
    """

# What a tenant's requests at a deployment ever added up to: read at each scrape, so a row for each pair and no more.
TTFT_BUCKETS_S = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
"""Upper bounds; one bucket more is without one. Other bounds need a migration, which counts all rows anew."""
_BUCKETS = tuple(f"ttft_bucket_{place}" for place in range(len(TTFT_BUCKETS_S) + 1))
_SUMS = (
    *("complete", "truncated", "client_closed", "failed", "unknown", "turned_away"),
    *("prompt_tokens", "completion_tokens", "ttft_sum_s"),
    *_BUCKETS,
)


def _in_bucket(place: int) -> str:
    lower = f"waited_s > {TTFT_BUCKETS_S[place - 1]}" if place else "waited_s IS NOT NULL"
    upper = f" AND waited_s <= {TTFT_BUCKETS_S[place]}" if place < len(TTFT_BUCKETS_S) else ""
    return f"coalesce({lower}{upper}, 0) AS {_BUCKETS[place]}"


THIRD = f"""
    CREATE VIEW timed AS
        SELECT counted.*, coalesce(waited_s, 0) AS ttft_sum_s, {", ".join(map(_in_bucket, range(len(_BUCKETS))))}
        FROM counted JOIN (
            SELECT rowid AS number, CASE WHEN status BETWEEN 200 AND 399 THEN ttft_s END AS waited_s FROM request
        ) USING (number);
    CREATE TABLE total (
        tenant TEXT NOT NULL, deployment TEXT NOT NULL, {", ".join(f"{name} NOT NULL" for name in _SUMS)},
        PRIMARY KEY (tenant, deployment)
    ) WITHOUT ROWID;
    INSERT INTO total
        SELECT tenant, deployment, {", ".join(f"sum({name})" for name in _SUMS)} FROM timed GROUP BY tenant, deployment;
    CREATE TRIGGER request_totalled AFTER INSERT ON request BEGIN
        INSERT INTO total
            SELECT tenant, deployment, {", ".join(_SUMS)} FROM timed WHERE number = new.rowid
            ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)};
    END
    """

MIGRATIONS = (FIRST, SECOND, THIRD)
