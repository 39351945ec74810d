//! What every store needs: pools, owned transactions, outbox, processes, idempotency, audit, field keys.
