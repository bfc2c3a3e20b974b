//! Slows down who guesses passwords: by address, and beyond that for everybody. Waits are measured by the time that passes:
//! a clock that is set neither ends nor prolongs them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong guesses from one address before it has to wait.
const FREE_GUESSES: u32 = 5;
/// Wrong guesses from all addresses before everybody has to wait: many addresses guess together.
const FREE_GUESSES_OF_ALL: u32 = 100;
/// First wait; each further wrong guess doubles it.
const WAIT_FIRST_S: u64 = 30;
/// Longest wait.
const WAIT_MAX_S: u64 = 15 * 60;
/// Guesses are forgotten after so long without another.
const FORGET_AFTER: Duration = Duration::from_hours(1);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, Default)]
struct Guesses {
    wrong: u32,
    last: Option<Instant>,
}

impl Guesses {
    /// Seconds to wait, when there is a wait.
    fn wait(&self, free: u32, now: Instant) -> Option<u32> {
        let beyond = self.wrong.checked_sub(free)?;
        let wait = WAIT_FIRST_S.saturating_mul(1 << beyond.min(10)).min(WAIT_MAX_S);
        let left = Duration::from_secs(wait).saturating_sub(self.since(now)?).as_secs();
        u32::try_from(left).ok().filter(|left| *left > 0)
    }

    /// Time since the last one.
    fn since(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.last?))
    }

    fn is_old(&self, now: Instant) -> bool {
        self.since(now).is_some_and(|since| since > FORGET_AFTER)
    }

    fn add(&mut self, now: Instant) {
        if self.is_old(now) {
            self.wrong = 0;
        }
        self.wrong = self.wrong.saturating_add(1);
        self.last = Some(now);
    }
}

/// Wrong guesses; forgotten when the hub ends.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<(HashMap<Option<IpAddr>, Guesses>, Guesses)>);

impl Throttle {
    /// Seconds that this address has to wait; `None` when it may guess.
    pub(crate) fn wait(&self, from: Option<IpAddr>, now: Instant) -> Option<u32> {
        let guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = guesses.0.get(&from).and_then(|own| own.wait(FREE_GUESSES, now));
        own.or_else(|| guesses.1.wait(FREE_GUESSES_OF_ALL, now))
    }

    /// Notes a wrong guess.
    pub(crate) fn wrong(&self, from: Option<IpAddr>, now: Instant) {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.0.len() >= ADDRESSES_MAX && !guesses.0.contains_key(&from) {
            guesses.0.retain(|_, old| !old.is_old(now));
        }
        if guesses.0.len() < ADDRESSES_MAX || guesses.0.contains_key(&from) {
            guesses.0.entry(from).or_default().add(now);
        }
        guesses.1.add(now);
    }

    /// Forgets the guesses from an address that was right in the end.
    pub(crate) fn right(&self, from: Option<IpAddr>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_wrong_guess_doubles_the_wait_of_its_address_alone() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for _ in 0..FREE_GUESSES {
            assert_eq!(throttle.wait(Some(address(1)), now), None);
            throttle.wrong(Some(address(1)), now);
        }
        assert_eq!(throttle.wait(Some(address(1)), now), Some(30));
        assert_eq!(throttle.wait(Some(address(2)), now), None);
        now += Duration::from_secs(30);
        assert_eq!(throttle.wait(Some(address(1)), now), None);
        throttle.wrong(Some(address(1)), now);
        assert_eq!(throttle.wait(Some(address(1)), now), Some(60));
        for _ in 0..20 {
            throttle.wrong(Some(address(1)), now);
        }
        assert_eq!(throttle.wait(Some(address(1)), now), Some(900));
        throttle.right(Some(address(1)));
        assert_eq!(throttle.wait(Some(address(1)), now), None);
    }

    #[test]
    fn many_addresses_together_make_everybody_wait() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for last in 0..100 {
            throttle.wrong(Some(address(last)), now);
        }
        assert_eq!(throttle.wait(Some(address(200)), now), Some(30));
        assert_eq!(throttle.wait(Some(address(200)), now + Duration::from_secs(31)), None);
    }
}
