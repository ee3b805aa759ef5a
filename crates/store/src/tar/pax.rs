use super::{TarError, Time};

/// A record of an extended header: key and value.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

/// Splits the content of an extended header into its records, `length key=value\n` each, in their order.
pub(crate) fn records(mut data: &[u8]) -> Result<Vec<Record>, TarError> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let blank = data.iter().position(|&b| b == b' ').ok_or(TarError::Header)?;
        let length: usize = decimal(&data[..blank]).ok_or(TarError::Header)?;
        if length <= blank + 1 || length > data.len() || data[length - 1] != b'\n' {
            return Err(TarError::Header);
        }
        let record = &data[blank + 1..length - 1];
        let equals = record.iter().position(|&b| b == b'=').ok_or(TarError::Header)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let is_text = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname" | b"GNU.sparse.name");
        if key.is_empty() || key.contains(&0) || (is_text && value.contains(&0)) {
            return Err(TarError::Header);
        }
        records.push((key.to_vec(), value.to_vec()));
        data = &data[length..];
    }
    Ok(records)
}

/// Digits and nothing else.
pub(crate) fn decimal<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are cut off.
pub(crate) fn time(value: &[u8]) -> Result<Time, TarError> {
    let (negative, value) = match value {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, value),
    };
    let (whole, fraction) = match value.iter().position(|&b| b == b'.') {
        Some(point) => (&value[..point], &value[point + 1..]),
        None => (value, &b""[..]),
    };
    let sec: i64 = if whole.is_empty() { Some(0) } else { decimal(whole) }.ok_or(TarError::Header)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(TarError::Header);
    }
    let digit = |at: usize| u32::from(fraction.get(at).map_or(0, |b| b - b'0'));
    let nsec = (0..9).fold(0, |nsec, at| nsec * 10 + digit(at));
    Ok(match (negative, nsec) {
        (false, _) => Time { sec, nsec },
        (true, 0) => Time { sec: -sec, nsec },
        (true, _) => Time { sec: -sec - 1, nsec: 1_000_000_000 - nsec },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_by_their_lengths() {
        let data = b"12 path=a=b\n18 linkpath=a\nb\xff\0x\n";
        assert_eq!(records(data), Err(TarError::Header), "a NUL in a name");
        let found = records(b"12 path=a=b\n30 SCHILY.xattr.user.x=a\nb\0\xff\n9 uid=42\n").unwrap_err();
        assert_eq!(found, TarError::Header, "a wrong length");
        let found = records(b"12 path=a=b\n29 SCHILY.xattr.user.x=a\nb\0\xff\n10 uid=42\n").unwrap();
        let expected: Vec<Record> =
            [(&b"path"[..], &b"a=b"[..]), (b"SCHILY.xattr.user.x", b"a\nb\0\xff"), (b"uid", b"42")]
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .into();
        assert_eq!(found, expected);
        for bad in [
            &b"5 a=b"[..],
            b"6 a=b",
            b"99999999999999999999 a=b\n",
            b"5 =b\n",
            b"x a=b\n",
            b"4 ab\n",
            b"2 \n",
        ] {
            assert_eq!(records(bad), Err(TarError::Header), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn times_have_signs_and_fractions() {
        for (text, sec, nsec) in [
            ("1350244992.023960108", 1_350_244_992, 23_960_108),
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-1", -1, 0),
            ("1.0000000019", 1, 1),
            (".5", 0, 500_000_000),
        ] {
            assert_eq!(time(text.as_bytes()), Ok(Time { sec, nsec }), "{text}");
        }
        for bad in ["1.x", "a", "1.-5", "--1", "1e5"] {
            assert_eq!(time(bad.as_bytes()), Err(TarError::Header), "{bad}");
        }
    }
}
