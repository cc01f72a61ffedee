//! How much is read at a time by whoever walks through everything: a few values at first, then as many as are not much
//! longer than a page, together. Values may have a mebibyte and more each.

const FIRST: usize = 16;
const MOST: usize = 500;
const BYTES: usize = 2 << 20;

/// How many values the next page may have.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    limit: usize,
}

impl Default for Paging {
    fn default() -> Self {
        Paging { limit: FIRST }
    }
}

impl Paging {
    /// For [`Range::limit`](crate::Range).
    pub fn limit(self) -> usize {
        self.limit
    }

    /// The last page had so many bytes.
    pub fn had(&mut self, bytes: usize) {
        self.limit = match bytes {
            _ if bytes > BYTES => (self.limit / 2).max(1),
            _ if bytes < BYTES / 2 => (self.limit * 2).min(MOST),
            _ => self.limit,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_large_values_have_fewer() {
        // Bytes of each page, and how many values the one after it may have.
        let table = [(100, 32), (100, 64), (BYTES - 1, 64), (BYTES + 1, 32), (9 * BYTES, 16), (9 * BYTES, 8)];
        let mut paging = Paging::default();
        for (bytes, limit) in table {
            paging.had(bytes);
            assert_eq!(paging.limit(), limit, "after {bytes}");
        }
        (0..9).for_each(|_| paging.had(9 * BYTES));
        assert_eq!(paging.limit(), 1);
        (0..20).for_each(|_| paging.had(0));
        assert_eq!(paging.limit(), MOST);
    }
}
