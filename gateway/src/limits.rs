//! How often one address, and one caller, may call: GCRA by key, in bounded memory; and how much of
//! something each may hold at once. Must not know what a key means, and keeps none in a log.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use serde::Deserialize;

/// Keys that were full again long ago are dropped after this many calls. A power of two, as every
/// pause between two looks is, so that no sweep falls between them.
const SWEEP_EVERY: u32 = 4_096;

/// A steady rate with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second, over time. 1 or more.
    pub per_second: NonZeroU32,
    /// Calls at once after a pause. 1 or more.
    pub burst: NonZeroU32,
}

impl Rate {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// A limit by key.
pub(crate) struct KeyedLimit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    max_keys: usize,
    calls: AtomicU32,
    /// Calls between two looks at how many keys there are, which locks every part of the map.
    look_every: u32,
    full: AtomicBool,
}

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    /// Each key may call at `rate`; at most about `max_keys` keys are remembered.
    pub(crate) fn new(rate: Rate, max_keys: usize) -> Self {
        Self {
            limiter: RateLimiter::keyed(rate.quota()),
            clock: DefaultClock::default(),
            max_keys,
            calls: AtomicU32::new(0),
            look_every: u32::try_from(max_keys / 256)
                .map_or(SWEEP_EVERY, |it| it.next_power_of_two().min(SWEEP_EVERY)),
            full: AtomicBool::new(false),
        }
    }

    /// Counts one call of `key`.
    ///
    /// # Errors
    /// How long to wait, when the key has used its burst. When the map is full of keys that are all
    /// in use, a key is told to wait a second: memory is bounded before fairness.
    pub(crate) fn check(&self, key: &K) -> Result<(), Duration> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        if nth.is_multiple_of(self.look_every) {
            self.look(nth);
        }
        if self.full.load(Ordering::Relaxed) {
            return Err(Duration::from_secs(1));
        }
        self.limiter.check_key(key).map_err(|wait| wait.wait_time_from(self.clock.now()))
    }

    /// Forgetting a key that is full again changes nothing for it.
    fn look(&self, nth: u32) {
        if nth.is_multiple_of(SWEEP_EVERY) || self.limiter.len() >= self.max_keys {
            self.limiter.retain_recent();
        }
        self.full.store(self.limiter.len() >= self.max_keys.saturating_mul(2), Ordering::Relaxed);
    }
}

/// How many of something each key holds at this moment.
#[derive(Debug)]
pub(crate) struct Seats<K> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    max: usize,
}

/// One of a key's seats; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat<K: Hash + Eq> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Seats<K> {
    /// Each key may hold `max` at once.
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// `None`: the key holds all it may have.
    pub(crate) fn take(&self, key: K) -> Option<Seat<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key.clone()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Seat { taken: self.taken.clone(), key })
    }
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// What counts as one address: an IPv6 network of 64 bits is one customer, who owns all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(IpAddr);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            v4 => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        Rate { per_second: number(per_second), burst: number(burst) }
    }

    #[test]
    fn a_key_over_its_burst_is_told_how_long_to_wait() {
        let limit = KeyedLimit::new(rate(1, 2), 10);
        assert_eq!(limit.check(&"a"), Ok(()));
        assert_eq!(limit.check(&"a"), Ok(()));
        let wait = limit.check(&"a").expect_err("used up");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limit.check(&"b"), Ok(()), "another key has its own burst");
    }

    #[test]
    fn a_flood_of_keys_does_not_grow_the_map_without_end() {
        let limit = KeyedLimit::new(rate(1, 1), 10);
        for key in 0..1_000 {
            let _ = limit.check(&key);
        }
        assert!(limit.limiter.len() <= 20, "{}", limit.limiter.len());
    }

    #[test]
    fn a_key_has_so_many_seats_and_gives_them_back() {
        let seats = Seats::new(1);
        let seat = seats.take("a");
        assert!(seat.is_some());
        assert!(seats.take("a").is_none());
        assert!(seats.take("b").is_some());
        drop(seat);
        assert_eq!(seats.taken.lock().map(|taken| taken.len()).unwrap_or(9), 0, "nobody is remembered");
        assert!(seats.take("a").is_some());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().expect("address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
