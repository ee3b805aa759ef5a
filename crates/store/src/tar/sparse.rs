use super::TarError;
use super::header::number;
use super::pax::{Record, decimal};

/// Where the stored bytes of a sparse file belong: offset and length, in their order. The rest are holes.
pub(crate) type Extents = Vec<(u64, u64)>;

/// Entries of a map, at most: more than any file system gives.
pub(crate) const MAX_EXTENTS: usize = 1 << 20;

/// The entries in a GNU header or one of its extension blocks, `(24 bytes each) × count` at `from`. An empty one ends
/// the map.
pub(crate) fn gnu_entries(
    block: &[u8],
    from: usize,
    count: usize,
    map: &mut Extents,
) -> Result<(), TarError> {
    for entry in block[from..from + 24 * count].chunks(24) {
        if entry[0] == 0 {
            break;
        }
        let field = |bytes| u64::try_from(number(bytes)?).map_err(|_| TarError::Header);
        map.push((field(&entry[..12])?, field(&entry[12..])?));
    }
    if map.len() > MAX_EXTENTS { Err(TarError::FieldTooLong) } else { Ok(()) }
}

/// The map of the pax formats 0.0 (a pair of records per entry) and 0.1 (one record), if there is one.
pub(crate) fn pax_map(records: &[Record]) -> Result<Option<Extents>, TarError> {
    let mut numbers = Vec::new();
    let mut found = false;
    for (key, value) in records {
        match key.as_slice() {
            b"GNU.sparse.map" => {
                found = true;
                numbers = if value.is_empty() {
                    Vec::new()
                } else {
                    let parts = value.split(|&b| b == b',').map(decimal::<u64>);
                    parts.collect::<Option<_>>().ok_or(TarError::Header)?
                };
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_length = key.ends_with(b"numbytes");
                if is_length == numbers.len().is_multiple_of(2) {
                    return Err(TarError::Header);
                }
                found = true;
                numbers.push(decimal(value).ok_or(TarError::Header)?);
            }
            _ => {}
        }
    }
    if !found {
        return Ok(None);
    }
    if !numbers.len().is_multiple_of(2) {
        return Err(TarError::Header);
    }
    Ok(Some(numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()))
}

/// Checks that a map is ordered, within a file of `size` bytes, and for exactly `stored` bytes.
pub(crate) fn validate(map: &[(u64, u64)], size: u64, stored: u64) -> Result<(), TarError> {
    let (mut end, mut sum) = (0u64, 0u64);
    for &(offset, length) in map {
        let next = offset.checked_add(length).ok_or(TarError::Header)?;
        if offset < end || next > size {
            return Err(TarError::Header);
        }
        end = next;
        sum += length;
    }
    if sum == stored { Ok(()) } else { Err(TarError::Header) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Vec<Record> {
        pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn pax_maps_in_both_forms() {
        let one = records(&[("GNU.sparse.map", "0,5,100,7")]);
        assert_eq!(pax_map(&one), Ok(Some(vec![(0, 5), (100, 7)])));
        let zero = records(&[
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "5"),
            ("GNU.sparse.offset", "100"),
            ("GNU.sparse.numbytes", "7"),
        ]);
        assert_eq!(pax_map(&zero), Ok(Some(vec![(0, 5), (100, 7)])));
        assert_eq!(pax_map(&records(&[("path", "x")])), Ok(None));
        assert_eq!(pax_map(&records(&[("GNU.sparse.map", "")])), Ok(Some(vec![])));
        for bad in ["0,5,100", "a,b", "0,-5"] {
            assert_eq!(pax_map(&records(&[("GNU.sparse.map", bad)])), Err(TarError::Header), "{bad}");
        }
        assert_eq!(pax_map(&records(&[("GNU.sparse.numbytes", "0")])), Err(TarError::Header));
    }

    #[test]
    fn maps_must_be_ordered_and_complete() {
        assert_eq!(validate(&[(0, 5), (100, 7), (200, 0)], 200, 12), Ok(()));
        for (map, size, stored) in [
            (&[(0, 5), (4, 7)][..], 200, 12),
            (&[(0, 5)], 4, 5),
            (&[(0, 5)], 100, 6),
            (&[(u64::MAX, 5)], 100, 5),
        ] {
            assert_eq!(validate(map, size, stored), Err(TarError::Header), "{map:?}");
        }
    }
}
