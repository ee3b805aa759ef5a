//! Random identifiers and generated container names.

use std::fmt::Write as _;

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills a buffer from the kernel's random source.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // getrandom(2) can only be interrupted once the pool is initialised; it never fails otherwise.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// A new 64-digit hexadecimal id. Its short form (12 digits) always has a letter: some tools and
/// resolvers take an all-digit host name for a number.
pub(crate) fn new_id() -> String {
    loop {
        let mut id = String::with_capacity(64);
        for byte in random::<32>() {
            let _ = write!(id, "{byte:02x}");
        }
        if id[..12].bytes().any(|b| b.is_ascii_alphabetic()) {
            return id;
        }
    }
}

/// The 12-digit short form of an id.
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A generated name `adjective_surname`; from the `attempt`-th try on with a digit, as the names may be taken.
pub(crate) fn generated_name(attempt: u32) -> String {
    let [a, b, c, ..] = random::<4>();
    let adjective = ADJECTIVES[usize::from(a) % ADJECTIVES.len()];
    let surname = SURNAMES[usize::from(b) % SURNAMES.len()];
    if attempt == 0 { format!("{adjective}_{surname}") } else { format!("{adjective}_{surname}{}", c % 10) }
}

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "alert", "amber", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid",
    "clever", "cosmic", "crisp", "curious", "daring", "eager", "early", "earnest", "fair", "fleet", "fluent",
    "fond", "frank", "gentle", "glad", "golden", "grand", "hardy", "honest", "humble", "jolly", "keen",
    "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble",
    "patient", "placid", "polite", "proud", "quick", "quiet", "ready", "sharp", "silent", "smooth", "snug",
    "steady", "sunny", "swift", "tidy", "upbeat", "vivid", "warm", "wise", "witty",
];

const SURNAMES: [&str; 64] = [
    "abel",
    "ampere",
    "babbage",
    "banach",
    "bernoulli",
    "bohr",
    "boole",
    "cantor",
    "carson",
    "cauchy",
    "curie",
    "darwin",
    "dijkstra",
    "dirac",
    "einstein",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "feynman",
    "fourier",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goedel",
    "hamilton",
    "hamming",
    "hilbert",
    "hopper",
    "hubble",
    "huygens",
    "hypatia",
    "jacobi",
    "kepler",
    "knuth",
    "kovalevskaya",
    "lagrange",
    "laplace",
    "leibniz",
    "lovelace",
    "maxwell",
    "mendel",
    "mirzakhani",
    "newton",
    "noether",
    "pascal",
    "pasteur",
    "planck",
    "poincare",
    "ptolemy",
    "ramanujan",
    "riemann",
    "ritchie",
    "rutherford",
    "shannon",
    "somerville",
    "tesla",
    "turing",
    "volta",
    "wiles",
    "wozniak",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_hex_digits_and_names_fit_the_name_grammar() {
        let id = new_id();
        assert_eq!(id.len(), 64);
        assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(short_id(&id), &id[..12]);
        assert!(generated_name(0).split_once('_').is_some());
        assert!(generated_name(1).ends_with(|c: char| c.is_ascii_digit()));
    }
}
