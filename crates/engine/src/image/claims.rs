//! Who is fetching which layer, so that two pulls of the same image share the work.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use wharf_oci::Digest;

/// Layers that are being fetched, by chain id.
#[derive(Debug, Default)]
pub(super) struct Claims {
    held: Mutex<HashSet<Digest>>,
    released: Condvar,
}

/// The right to fetch one layer. Dropping it lets the next one try, or find it there.
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    chain: &'a Digest,
}

impl Claims {
    /// Waits until nobody else fetches the layer. Afterwards look whether it is there now.
    pub(super) fn claim<'a>(&'a self, chain: &'a Digest) -> Claim<'a> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self
            .released
            .wait_while(held, |held| held.contains(chain))
            .unwrap_or_else(PoisonError::into_inner);
        held.insert(chain.clone());
        Claim { claims: self, chain }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.held.lock().unwrap_or_else(PoisonError::into_inner).remove(self.chain);
        self.claims.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_for_the_same_layer_only() {
        let claims = Claims::default();
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let inside = AtomicUsize::new(0);
        let _other = claims.claim(&b);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _claim = claims.claim(&a);
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }
}
