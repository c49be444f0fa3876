//! Answers: how the outcome of a commit reaches its caller, who waits, awaits or looks.
//!
//! Caller and writer share a ticket: the commit in it, and the answer. All callers of a frame sleep on one
//! futex word, the bell, so that one call wakes them all; those of the next frame sleep at the other of two. The
//! ticket's memory is let go by the caller, as a rule: memory that one thread takes and another gives back is what an
//! allocator does worst.

use std::{
    fmt,
    future::Future,
    hint, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use smallvec::SmallVec;

use crate::{
    error::{Error, Result},
    sync::{AtomicBool, Mutex, Ordering},
    writer::{
        bell::{Meeting, Processor},
        request::{Appended, EncodedCommit, Reached},
    },
};

/// What a commit's caller is told.
pub(crate) type Outcome = Result<Reached>;

/// How often a lone waiter looks before it sleeps, where an answer needs no sync: longer than a wake-up takes
/// (docs/benchmarks.md, "The hand-over"), some 40 microseconds.
const LOOKS_MAX: u32 = 2_000;

/// How often a waiter looks before it asks whether who it waits for is on this very processor, and can't run while it looks: some
/// 5 microseconds, which is longer than the answer takes as a rule.
const LOOKS_BEFORE_ASKING: u32 = 250;

/// How a waiter begins to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// It looks for a while before it sleeps: for answers that need no sync.
    Look,
    /// It sleeps at once.
    Sleep,
}

/// Looks whether something is there, up to so many times, unless who brings it was on this very processor.
pub(crate) fn look_for(looks_max: u32, bringer: &Processor, is_there: impl Fn() -> bool) -> bool {
    for look in 0..looks_max {
        if is_there() {
            return true;
        }
        if look == LOOKS_BEFORE_ASKING && bringer.wants_way() {
            return false;
        }
        hint::spin_loop();
    }
    false
}

#[derive(Debug)]
struct Ticket {
    commit: EncodedCommit,
    is_done: AtomicBool,
    state: Mutex<TicketState>,
}

#[derive(Debug)]
enum TicketState {
    Waiting(Option<Waker>),
    Done(Outcome),
    Taken,
}

/// The writer's end: a commit that is to be answered once. Dropped without an answer, it says that the
/// store has failed.
#[derive(Debug)]
pub(crate) struct Request {
    ticket: Arc<Ticket>,
}

impl Request {
    /// What the caller wants to be stored.
    pub(crate) fn commit(&self) -> &EncodedCommit {
        &self.ticket.commit
    }

    /// Gives the answer. Sleepers are woken by the bell.
    pub(crate) fn answer(&self, outcome: Outcome) {
        let before = mem::replace(&mut *self.ticket.state.lock(), TicketState::Done(outcome));
        self.ticket.is_done.store(true, Ordering::Release);
        if let TicketState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.ticket.is_done.load(Ordering::Acquire) {
            self.answer(Err(Error::Failed { reason: "its writer stopped".into() }));
        }
    }
}

/// The caller's end.
pub(crate) struct PendingOutcome {
    ticket: Arc<Ticket>,
    meeting: Arc<Meeting>,
    /// Which of the bells is rung behind the answer. The first, until the commit is in the queue.
    pub(crate) bell: usize,
    patience: Patience,
}

/// Both ends of a commit that is handed over.
pub(crate) fn hand_over(
    commit: EncodedCommit,
    meeting: &Arc<Meeting>,
    patience: Patience,
) -> (Request, PendingOutcome) {
    let (is_done, state) = (AtomicBool::new(false), Mutex::new(TicketState::Waiting(None)));
    let ticket = Arc::new(Ticket { commit, is_done, state });
    let request = Request { ticket: Arc::clone(&ticket) };
    (request, PendingOutcome { ticket, meeting: Arc::clone(meeting), bell: 0, patience })
}

impl PendingOutcome {
    pub(crate) fn is_done(&self) -> bool {
        self.ticket.is_done.load(Ordering::Acquire)
    }

    fn take(&self) -> Outcome {
        match mem::replace(&mut *self.ticket.state.lock(), TicketState::Taken) {
            TicketState::Done(outcome) => outcome,
            TicketState::Waiting(_) | TicketState::Taken => {
                panic!("a pending append is polled after its end")
            }
        }
    }

    pub(crate) fn wait(&self) -> Outcome {
        let bell = &self.meeting.bells[self.bell];
        let looks = self.patience == Patience::Look && !bell.has_sleepers();
        if !(looks && look_for(LOOKS_MAX, &self.meeting.writer, || self.is_done())) {
            bell.sleep_until(None, || self.is_done());
        }
        self.take()
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.ticket.state.lock();
        if let TicketState::Waiting(waker) = &mut *state {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        Poll::Ready(self.take())
    }
}

macro_rules! pending {
    ($(#[$documentation:meta])* $name:ident, $output:ty, $take:expr) => {
        $(#[$documentation])*
        #[must_use = "the outcome is known only to who waits for it"]
        pub struct $name(pub(crate) PendingOutcome);

        impl $name {
            /// Waits for the outcome.
            ///
            /// # Errors
            ///
            /// As the call that waits itself.
            pub fn wait(self) -> Result<$output> {
                self.0.wait().map($take)
            }

            /// Whether the outcome is known, so that [`wait`](Self::wait) returns at once.
            #[must_use]
            pub fn is_done(&self) -> bool {
                self.0.is_done()
            }
        }

        impl Future for $name {
            type Output = Result<$output>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(context).map(|outcome| outcome.map($take))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($name)).field("is_done", &self.is_done()).finish()
            }
        }
    };
}

pending! {
    /// An append that is on its way. It can be waited for, or awaited on any runtime. Dropping it takes
    /// nothing back: the append goes on.
    PendingAppend, Appended, |appended| appended[0]
}

pending! {
    /// A commit that is on its way, like [`PendingAppend`]. Its outcome has an entry for each
    /// [`append`](crate::Commit::append), in their order.
    PendingCommit, Vec<Appended>, SmallVec::into_vec
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_waiter_looks_no_longer_than_it_must_nor_oftener_than_it_may() {
        for there_at in [1, LOOKS_BEFORE_ASKING + 2, LOOKS_MAX, LOOKS_MAX + 1] {
            let looks = Cell::new(0);
            let found = look_for(LOOKS_MAX, &Processor::default(), || {
                looks.set(looks.get() + 1);
                looks.get() == there_at
            });
            assert_eq!((found, looks.get()), (there_at <= LOOKS_MAX, there_at.min(LOOKS_MAX)));
        }
    }
}
