//! Sizes and costs of which the least and the most are known.

/// The least and the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub min: u64,
    pub max: u64,
}

/// So many for each so many.
#[derive(Clone, Copy, Debug)]
pub struct Rate(pub u64, pub u64);

pub const UNKNOWN: Span = Span { min: 0, max: u64::MAX };

impl Span {
    pub fn of(value: u64) -> Span {
        Span { min: value, max: value }
    }

    pub fn plus(self, other: Span) -> Span {
        Span { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub fn times(self, other: Span) -> Span {
        Span { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// So many for each so many, rounded up.
    pub fn by(self, Rate(times, each): Rate) -> Span {
        let by = |value: u64| {
            let exact = (u128::from(value) * u128::from(times)).div_ceil(u128::from(each));
            u64::try_from(exact).unwrap_or(u64::MAX)
        };
        Span { min: by(self.min), max: by(self.max) }
    }

    pub fn or(self, other: Span) -> Span {
        Span { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// How large a text is in which another has been replaced.
pub fn replaced(text: Span, what: Span, with: Span) -> Span {
    let (mut count, mut kept) = (Span::of(0), Span::of(0));
    if what.min == 0 {
        count.max = text.max.saturating_add(1);
        kept.max = text.max;
    } else if with.max <= what.min {
        kept.max = text.max;
    } else {
        count.max = text.max.div_ceil(what.min);
    }
    if what.max == 0 {
        count.min = text.min.saturating_add(1);
        kept.min = text.min;
    } else if what.max <= with.min {
        kept.min = text.min;
    } else {
        count.min = text.min.div_ceil(what.max);
    }
    count.times(with).plus(kept)
}

/// The sizes of what is in a list or map: of keys, and of values or elements.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    pub list: bool,
    pub keys: Span,
    pub values: Span,
}

/// What is in one of two.
pub fn joined(a: Entries, b: Entries) -> Entries {
    Entries { list: a.list, keys: a.keys.or(b.keys), values: a.values.or(b.values) }
}
