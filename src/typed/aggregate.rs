//! What a domain is written as: a state that is folded from its events, and decisions that lead to events.

use serde::{Serialize, de::DeserializeOwned};

/// A state that is made of the events of one stream, and of nothing else. [`Default`] is the state before the first
/// event.
///
/// `apply` can't fail and must not decide: what happened has happened. Decisions are made by [`Handle`], before there
/// are events.
///
/// ```
/// use annals::{Aggregate, Handle};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default)]
/// struct Account {
///     cents: u64,
/// }
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// #[serde(tag = "type", content = "data")]
/// enum AccountEvent {
///     MoneyDeposited { cents: u64 },
///     MoneyWithdrawn { cents: u64 },
/// }
///
/// impl Aggregate for Account {
///     type Event = AccountEvent;
///     const CATEGORY: &'static str = "account";
///
///     fn apply(&mut self, event: AccountEvent) {
///         match event {
///             AccountEvent::MoneyDeposited { cents } => self.cents += cents,
///             AccountEvent::MoneyWithdrawn { cents } => self.cents -= cents,
///         }
///     }
/// }
///
/// struct Withdraw {
///     cents: u64,
/// }
///
/// #[derive(PartialEq, Debug)]
/// struct InsufficientFunds;
///
/// impl Handle<Withdraw> for Account {
///     type Error = InsufficientFunds;
///
///     fn handle(&self, command: &Withdraw) -> Result<Vec<AccountEvent>, InsufficientFunds> {
///         if command.cents > self.cents {
///             return Err(InsufficientFunds);
///         }
///         Ok(vec![AccountEvent::MoneyWithdrawn { cents: command.cents }])
///     }
/// }
///
/// let account = Account { cents: 5 };
/// assert_eq!(account.handle(&Withdraw { cents: 6 }), Err(InsufficientFunds));
/// ```
pub trait Aggregate: Default {
    /// What happens to it: an enum, whose variants are the event types.
    type Event: Serialize + DeserializeOwned;

    /// The category of its streams: aggregate `17` of category `account` is stream `account-17`. No `-` in it.
    const CATEGORY: &'static str;

    /// What its snapshots are of. Aggregates of one category, which make different states of the same events, need different
    /// ones: else each would begin with the other's states, or pass them over and replace them.
    const STATE_TYPE: &'static str = Self::CATEGORY;

    /// The version of the state, as snapshots keep it. Raise it when the fields change, when `apply` makes something else of
    /// events, and when [`Upcasters`](crate::Upcasters) or a changed type do: a snapshot has in it what the program of
    /// its time made of the events before it, and those aren't read again. Snapshots of another version are passed over, and
    /// the state is made of the events anew.
    const STATE_VERSION: u32 = 1;

    /// Takes an event in.
    fn apply(&mut self, event: Self::Event);
}

/// Decides what a command leads to.
pub trait Handle<C>: Aggregate {
    /// Why a command is refused.
    type Error;

    /// The events that a command leads to in this state; none if it changes nothing. It may run several times for one
    /// command, each time on a newer state, so it does nothing but decide.
    ///
    /// # Errors
    ///
    /// The domain's own: the command is refused, and nothing is stored.
    fn handle(&self, command: &C) -> Result<Vec<Self::Event>, Self::Error>;
}
