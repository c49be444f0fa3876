//! What of a row of un-synced things survives a power cut.

use crate::disk::sim::random::Random;

/// What of the un-synced survives a power cut, for each file's sectors and each directory's names.
///
/// Coins alone would hardly ever show the cases that break programs: nothing, all, all but one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CutStyle {
    /// Nothing: each file and each directory is as its last sync left it.
    Nothing,
    /// Everything, as if all had been synced just before.
    Everything,
    /// The first alone; lengths by the seed.
    FirstOnly,
    /// The last alone; lengths by the seed.
    LastOnly,
    /// All but one; lengths by the seed.
    AllButOne,
    /// The first few; lengths by the seed.
    Prefix,
    /// Each by itself, by the seed; so are lengths.
    EachByItself,
}

impl CutStyle {
    /// All styles.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Everything,
        Self::FirstOnly,
        Self::LastOnly,
        Self::AllButOne,
        Self::Prefix,
        Self::EachByItself,
    ];

    pub(crate) fn seeded(random: &mut Random) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }

    /// Which of `count` un-synced things survive, in their order.
    pub(crate) fn survivors(self, count: usize, random: &mut Random) -> Vec<bool> {
        let chosen = random.below(count);
        let prefix = random.below(count + 1);
        // Mostly lost, even, mostly kept.
        let kept_of_eight = [1, 4, 7][random.below(3)];
        (0..count)
            .map(|index| match self {
                Self::Nothing => false,
                Self::Everything => true,
                Self::FirstOnly => index == 0,
                Self::LastOnly => index + 1 == count,
                Self::AllButOne => index != chosen,
                Self::Prefix => index < prefix,
                Self::EachByItself => random.below(8) < kept_of_eight,
            })
            .collect()
    }
}
