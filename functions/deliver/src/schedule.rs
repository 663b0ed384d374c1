//! When the next attempt is due.

use std::time::Duration;

use ids::DeliveryId;

/// No wait is longer than this.
pub(crate) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// The wait after failed attempt `number` (1 for the first): `base`, doubled with each further one, ±10 % so that
/// deliveries that failed together do not come back together, 12 h at most. A receiver that asks for longer
/// (`Retry-After`) is given it, within the same bound.
///
/// The jitter follows from delivery and attempt, so that the same failure always leads to the same wait.
pub(crate) fn delay(
    base: Duration,
    delivery: DeliveryId,
    number: u32,
    retry_after: Option<Duration>,
) -> Duration {
    let doublings = number.saturating_sub(1).min(31);
    let plain = base.saturating_mul(1 << doublings).min(LONGEST);
    jittered(plain, delivery, number).max(retry_after.unwrap_or_default()).min(LONGEST)
}

/// `wait`, 10 % more or less. It follows from delivery and number.
pub(crate) fn jittered(wait: Duration, delivery: DeliveryId, number: u32) -> Duration {
    let seed = delivery.as_bytes().iter().copied().chain(number.to_be_bytes());
    wait.saturating_mul(900 + u32::from(noise(seed)) % 201) / 1000
}

/// `wait`, half of it more or less: those that met the same fault do not come back together. It follows from `seed`.
pub(crate) fn scattered(wait: Duration, seed: &str) -> Duration {
    wait.saturating_mul(500 + u32::from(noise(seed.bytes())) % 1001) / 1000
}

/// FNV-1a: evenly spread is all it has to be.
fn noise(bytes: impl Iterator<Item = u8>) -> u16 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u16::try_from((hash >> 24) & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(seed: [u8; 16]) -> DeliveryId {
        DeliveryId::derived(clock::utc(2026, 11, 22, 15, 0), seed)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn waits_double_within_a_tenth_and_end_at_twelve_hours(seed: [u8; 16], number in 1_u32..40) {
            let wait = delay(MINUTE, id(seed), number, None);
            let plain = f64::from(2_u32.saturating_pow(number - 1)).min(1e6) * 60.0;
            let plain = plain.min(LONGEST.as_secs_f64());
            prop_assert!(wait >= Duration::from_secs_f64(plain * 0.899));
            prop_assert!(wait <= Duration::from_secs_f64(plain * 1.101).min(LONGEST));
        }

        #[test]
        fn a_receiver_can_ask_for_longer_but_not_for_ever(seed: [u8; 16], seconds in 0_u64..u64::MAX) {
            let asked = Duration::from_secs(seconds);
            let wait = delay(MINUTE, id(seed), 1, Some(asked));
            prop_assert!(wait <= LONGEST && wait >= asked.min(LONGEST));
            prop_assert_eq!(wait, delay(MINUTE, id(seed), 1, Some(asked)));
        }
    }

    #[test]
    fn what_met_one_fault_is_scattered() {
        let waits: Vec<_> =
            (0..=255).map(|seed| scattered(MINUTE, &id([seed; 16]).to_string()).as_secs()).collect();
        assert!(waits.iter().all(|wait| (30..=90).contains(wait)), "{waits:?}");
        assert!(waits.iter().min().unwrap() < &40 && waits.iter().max().unwrap() > &80);
    }

    #[test]
    fn jitter_uses_its_whole_range() {
        let waits: Vec<_> =
            (0..=255).map(|seed| delay(MINUTE, id([seed; 16]), 1, None).as_millis()).collect();
        assert!(waits.iter().min().unwrap() < &55_000 && waits.iter().max().unwrap() > &65_000);
    }
}
