use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use wharf_oci::Digest;

/// The steps that are being done, of all builds. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Claims(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    held: Mutex<HashSet<Digest>>,
    freed: Condvar,
}

/// The right to do a step; given back when dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Claims,
    key: Digest,
}

impl Claims {
    /// Waits until nobody else does the step with this key.
    pub fn claim(&self, key: &Digest) -> Claim {
        let mut held = self.lock();
        while !held.insert(key.clone()) {
            held = self.0.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        Claim { claims: self.clone(), key: key.clone() }
    }

    /// Whether somebody does the step with this key.
    pub fn is_claimed(&self, key: &Digest) -> bool {
        self.lock().contains(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().remove(&self.key);
        self.claims.0.freed.notify_all();
    }
}
