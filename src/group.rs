//! Consumer groups without a coordinator: which member of a group sees which streams follows from their names.

use std::{fmt, num::NonZeroU32, str::FromStr};

use xxhash_rust::xxh3::xxh3_64;

use crate::invalid::Invalid;

/// One of a group's members, each of which sees a share of the streams: all events of a stream go to the same
/// member, in their order, and every stream has exactly one.
///
/// A stream belongs to the member with the number `xxh3_64(name) % members + 1`, xxh3 with the seed 0 over the
/// name's UTF-8. That is the same in every version of Annals. Who changes the number of members deals all streams
/// out anew: the members' own progress doesn't fit any more then.
///
/// ```
/// use annals::{GroupMember, Query};
///
/// let second_of_four = GroupMember::new(2, 4)?;
/// assert_eq!(second_of_four, "2/4".parse()?);
/// let query = Query::all().group(second_of_four);
/// assert!(GroupMember::new(5, 4).is_err());
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GroupMember {
    member: u32,
    members: NonZeroU32,
}

impl GroupMember {
    /// Member number `member` of a group of `members`, counted from 1.
    ///
    /// # Errors
    ///
    /// [`Invalid`] unless `member` is from 1 to `members`.
    pub fn new(member: u32, members: u32) -> Result<Self, Invalid> {
        match NonZeroU32::new(members) {
            Some(members) if (1..=members.get()).contains(&member) => Ok(Self { member, members }),
            _ => {
                let reason = "members are counted from 1 to their number, as in 2/4";
                Err(Invalid::new("group member", &format!("{member}/{members}"), reason))
            }
        }
    }

    /// The member's number, from 1.
    #[must_use]
    pub fn member(self) -> u32 {
        self.member
    }

    /// How many members the group has.
    #[must_use]
    pub fn members(self) -> u32 {
        self.members.get()
    }

    /// Whether a stream of this name belongs to the member.
    #[must_use]
    pub fn has(self, stream: &str) -> bool {
        self.has_name(stream.as_bytes())
    }

    /// The same of a name as it is stored.
    pub(crate) fn has_name(self, stream: &[u8]) -> bool {
        let share = xxh3_64(stream) % u64::from(self.members.get());
        share + 1 == u64::from(self.member)
    }
}

impl fmt::Display for GroupMember {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.member, self.members)
    }
}

impl FromStr for GroupMember {
    type Err = Invalid;

    /// Reads `MEMBER/MEMBERS`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = || {
            let (member, members) = text.split_once('/')?;
            Self::new(member.parse().ok()?, members.parse().ok()?).ok()
        };
        read().ok_or_else(|| {
            Invalid::new("group member", text, "members are counted from 1 to their number, as in 2/4")
        })
    }
}
