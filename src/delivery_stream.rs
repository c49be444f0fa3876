//! A subscription as a stream of futures, for every runtime and for none.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{FusedStream, Stream};

use crate::{
    error::Result,
    subscription::{Delivery, Subscription},
};

/// A [`Subscription`] as a [`Stream`]: a type of its own, since the iterator's methods have the same names.
#[derive(Debug)]
#[must_use = "a stream delivers nothing until it is polled"]
pub struct DeliveryStream {
    subscription: Subscription,
}

impl Subscription {
    /// The same deliveries as a [`Stream`]. It needs no runtime: its task is called by the thread that publishes.
    pub fn into_stream(self) -> DeliveryStream {
        DeliveryStream { subscription: self }
    }
}

impl DeliveryStream {
    /// The subscription, to look at its cursor or to take its canceller.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The subscription itself, behind what the stream has delivered.
    pub fn into_inner(self) -> Subscription {
        self.subscription
    }
}

impl Stream for DeliveryStream {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.subscription.poll_delivery(context)
    }
}

impl FusedStream for DeliveryStream {
    fn is_terminated(&self) -> bool {
        self.subscription.has_ended()
    }
}
