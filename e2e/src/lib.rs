//! Tests across the gateway and all services.
