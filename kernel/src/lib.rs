//! Ids, money, dates, clock: what every crate may know.
